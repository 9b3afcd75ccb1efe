"""EfficientSAM-Ti on circuit boards in COCO format, the usual setting: 50 epochs, batches of 4."""

from mmengine.config import read_base

from seg.engine.hooks import TrainedWeightsHook

with read_base():
    from .._base_.datasets.pcb_boxes import *
    from .._base_.models.efficient_sam_ti import *
    from .._base_.schedules.efficient_sam_finetune import *
    from ..default_runtime import *

default_hooks.update(checkpoint=dict(interval=250, save_best='prompt/IoU'))
custom_hooks = [dict(type=TrainedWeightsHook)]
