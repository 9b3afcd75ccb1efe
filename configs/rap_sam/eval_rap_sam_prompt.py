"""Clicks in every segment of COCO val2017, corrected one by one, of a RapSAM with ResNet-50.

Reports mIoU after 1 click, and after 3 and 5 and NoC where the model understands corrections; the
published model understands single clicks.
"""

from mmengine.config import read_base

from seg.engine.runner import PromptingTestLoop, PromptingValLoop
from seg.evaluation.protocols import ClickProtocol

with read_base():
    from .._base_.datasets.coco_interactive import *
    from .._base_.models.rap_sam_r50 import *
    from ..default_runtime import *

train_dataloader = None
val_cfg = dict(type=PromptingValLoop, protocol=dict(type=ClickProtocol))
test_cfg = dict(type=PromptingTestLoop, protocol=dict(type=ClickProtocol))
