"""The published arithmetic on ResNet-18."""

from mmengine.config import read_base

with read_base():
    from .rap_sam_r50 import *

model.update(
    backbone=dict(depth=18, init_cfg=dict(checkpoint='torchvision://resnet18')),
    neck=dict(in_channels=(64, 128, 256, 512)),
)
