"""Average precision of instances on COCO 2017, of the published RapSAM with ResNet-50."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco_instance_2017 import *
    from .._base_.models.rap_sam_r50 import *
    from ..default_runtime import *

train_dataloader = None
val_cfg = dict()
test_cfg = dict()
