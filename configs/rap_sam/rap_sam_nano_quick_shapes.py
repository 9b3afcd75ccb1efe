"""Panoptic and clicks on Shapes, from scratch in at most 15 minutes."""

from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from torch.optim import AdamW

from seg.engine.hooks import CosineByProgressHook, SteeringHook, TimeBudgetHook

with read_base():
    from .._base_.datasets.shapes import *
    from .._base_.models.rap_sam_nano import *
    from ..default_runtime import *

# Features learn the classes of pixels first; queries follow when there is something to ask.
model['head']['semantic_auxiliary'].update(alone_until=0.25)
train_cfg = dict(by_epoch=False, max_iters=6000, val_interval=1000)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.05, fused=True),
    clip_grad=dict(max_norm=20.0),
    paramwise_cfg=dict(norm_decay_mult=0.0, bias_decay_mult=0.0),
)
default_hooks.update(checkpoint=dict(interval=500, save_best=['panoptic/PQ', 'interactive/mIoU@1']))
custom_hooks = [
    dict(type=TimeBudgetHook, minutes=14, measure='wall'),
    dict(type=CosineByProgressHook, warmup=0.03),
    dict(type=SteeringHook),
]
