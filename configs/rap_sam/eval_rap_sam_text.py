"""Text prompts: mean and cumulative IoU of every expression of RefCOCO.

The same as ``eval_rap_sam_refcoco.py``; RefCOCO+ and RefCOCOg have configs of their own.
"""

from mmengine.config import read_base

with read_base():
    from .eval_rap_sam_refcoco import *
