"""The published training of RapSAM with ResNet-18 on COCO, without its YouTube-VIS part."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco_panoptic_interactive import *
    from .._base_.models.rap_sam_r18 import *
    from .._base_.schedules.schedule_12e import *
    from ..default_runtime import *

default_hooks.update(
    checkpoint=dict(interval=14_786, save_best=['panoptic/PQ', 'interactive/mIoU@1'])
)
