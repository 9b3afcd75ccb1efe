"""SAM ViT-B on folders of images and masks: decoder and prompt encoder are trained."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.prompt_folders import *
    from .._base_.models.sam_vit_b import *
    from .._base_.schedules.sam_finetune import *
    from ..default_runtime import *

from seg.engine.hooks import TrainedWeightsHook

default_hooks.update(checkpoint=dict(interval=500, save_best='prompt/IoU'))
custom_hooks = [dict(type=TrainedWeightsHook)]
