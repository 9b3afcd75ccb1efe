"""A small SAM 3 from scratch on Shapes: finds everything of a colour that a phrase names."""

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

# Masks of small pictures are compared everywhere, and count most: from them words are learned.
model = dict(
    type=Sam3Segmentor,
    variant='tiny',
    train_text=True,
    strategy=dict(type=TrainAll),
    max_prompts=32,
    criterion=dict(
        sampling=dict(type=GridSampling),
        weights=dict(
            box=4.0,
            giou=2.0,
            score=4.0,
            presence=4.0,
            mask=50.0,
            dice=10.0,
            semantic=20.0,
            semantic_dice=10.0,
        ),
    ),
)

find_unused_parameters = False
train_cfg = dict(by_epoch=False, max_iters=1000, val_interval=500)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, betas=(0.9, 0.98), weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0),
)
default_hooks.update(checkpoint=dict(interval=50, save_best='concept/cgF1'))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.03)]
