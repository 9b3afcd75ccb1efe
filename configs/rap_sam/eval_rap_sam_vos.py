"""J and F on DAVIS 2017 val of a RapSAM with ResNet-50 that follows first-frame masks."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.davis import *
    from .._base_.models.rap_sam_r50 import *
    from ..default_runtime import *

train_dataloader = None
val_cfg = dict()
test_cfg = dict()
