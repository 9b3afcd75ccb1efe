"""The joint model with three batches of clips for two of images."""

from mmengine.config import read_base

with read_base():
    from ..rap_sam_nano_joint_shapes import *

train_dataloader['dataset']['ratios'] = dict(
    panoptic=2, interactive_image=2, vos=3, interactive_video=3
)
