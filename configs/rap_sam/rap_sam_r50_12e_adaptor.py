from mmengine.config import read_base

with read_base():
    from .._base_.models.rap_sam_r50 import *
