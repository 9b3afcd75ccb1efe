"""Stage 4 at full size: all tasks and data sets together, from stage 3."""

from mmengine.config import read_base

with read_base():
    from ..rap_sam_r50_joint import *
