"""A small SAM 3 from scratch on Shapes: finds all instances of a class that a phrase names."""

from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from torch.optim import AdamW

from seg.engine.hooks import CosineByProgressHook
from seg.models.detectors import Sam3Segmentor
from seg.models.losses import GridSampling
from seg.models.peft import TrainAll

with read_base():
    from .._base_.datasets.shapes_phrases import *
    from ..default_runtime import *

# Masks of small pictures are compared everywhere; few queries share a score's mean.
model = dict(
    type=Sam3Segmentor,
    variant='tiny',
    train_text=True,
    strategy=dict(type=TrainAll),
    max_prompts=32,
    criterion=dict(
        sampling=dict(type=GridSampling),
        weights=dict(score=4.0, mask=50.0, dice=5.0, semantic=10.0, semantic_dice=5.0),
    ),
)

find_unused_parameters = False
train_cfg = dict(by_epoch=False, max_iters=1200, val_interval=1200)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0),
)
default_hooks.update(checkpoint=dict(interval=100, save_best='concept/cgF1'))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.03)]
