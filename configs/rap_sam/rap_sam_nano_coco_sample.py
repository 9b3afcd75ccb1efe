"""Fit a handful of real COCO images with the nano model: a check of the whole path, not a model.

Expects a small sample in COCO's panoptic layout under ``data/coco_sample/``: ``val2017/*.jpg``,
``annotations/panoptic_val2017.json`` and ``annotations/panoptic_val2017/*.png``.
"""

from mmengine.config import read_base
from mmengine.dataset import DefaultSampler
from mmengine.optim import OptimWrapper
from torch.optim import AdamW

from seg.datasets import CocoPanopticDataset
from seg.datasets.samplers import TaskBatchSampler
from seg.datasets.transforms import ClipResize, PackClip, TestResize
from seg.engine.hooks import CosineByProgressHook
from seg.evaluation.metrics import PanopticMetric

with read_base():
    from .._base_.models.rap_sam_nano import *
    from ..default_runtime import *

data_root = 'data/coco_sample/'
size = (320, 448)

model.update(
    head=dict(
        num_things=80,
        num_stuff=53,
        num_queries=50,
        task_loss_weights=dict(panoptic=dict(cls=2.0, mask=10.0, dice=3.0, semantic=2.0)),
    )
)

train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=True),
    batch_sampler=dict(type=TaskBatchSampler),
    dataset=dict(
        type=CocoPanopticDataset,
        ann_file=data_root + 'annotations/panoptic_val2017.json',
        img_dir=data_root + 'val2017',
        seg_dir=data_root + 'annotations/panoptic_val2017',
        task='panoptic',
        pipeline=[dict(type=ClipResize, scale=size), dict(type=PackClip)],
    ),
)
val_dataloader = dict(
    batch_size=1,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        type=CocoPanopticDataset,
        ann_file=data_root + 'annotations/panoptic_val2017.json',
        img_dir=data_root + 'val2017',
        seg_dir=data_root + 'annotations/panoptic_val2017',
        task='panoptic',
        test_mode=True,
        pipeline=[dict(type=TestResize, scale=size), dict(type=PackClip)],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=PanopticMetric)
test_evaluator = val_evaluator

train_cfg = dict(by_epoch=False, max_iters=500, val_interval=100)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.0, fused=True),
    clip_grad=dict(max_norm=20.0),
)
default_hooks.update(checkpoint=dict(interval=500, save_best='panoptic/PQ'))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.05)]
