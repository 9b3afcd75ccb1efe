"""Mean and cumulative IoU of every expression of RefCOCO, of a RapSAM that understands text.

``test_dataloader.dataset.dataset.split`` may also be testA or testB. The published model does not
understand text; a model trained with this ``prompt_encoder`` does.
"""

from mmengine.config import read_base

from seg.datasets import JointLabels
from seg.engine.runner import PromptingTestLoop, PromptingValLoop
from seg.evaluation.protocols import ClickProtocol

with read_base():
    from .._base_.datasets.refcoco import *
    from .._base_.models.rap_sam_r50_text import *
    from ..default_runtime import *

train_dataloader = None
val_dataloader['dataset'] = dict(type=JointLabels, dataset=refcoco_val, label_space='coco_panoptic')
test_dataloader = val_dataloader
val_cfg = dict(type=PromptingValLoop, protocol=dict(type=ClickProtocol))
test_cfg = dict(type=PromptingTestLoop, protocol=dict(type=ClickProtocol))
