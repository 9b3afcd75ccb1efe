"""Printed circuit boards, or anything in COCO format, with a box around every object.

``train/`` and ``val/`` hold ``images/`` and ``annotations.json`` each. Images are stretched to a
square, as EfficientSAM was trained.
"""

from mmengine.config import read_base

from seg.datasets import CocoInstanceDataset
from seg.datasets.transforms import (
    ClipColorJitter,
    ClipFlip,
    ClipResize,
    FixedSegmentPrompts,
    PackClip,
    RandomSegmentPrompts,
    TestResize,
)
from seg.evaluation.metrics import PromptSegMetric

with read_base():
    from ..loaders import *

data_root = 'data/pcb/'
canvas = (1024, 1024)

train_dataloader.update(batch_size=4)
train_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'train/annotations.json',
    img_dir=data_root + 'train/images',
    task='interactive_image',
    min_box_iou=0.5,
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=ClipColorJitter, brightness=0.2, contrast=0.2, saturation=0.2),
        dict(type=ClipResize, scale=canvas, keep_ratio=False),
        dict(
            type=RandomSegmentPrompts,
            mode='box',
            max_prompts=10,
            box_jitter=0.1,
            max_shift=100.0,
        ),
        dict(type=PackClip),
    ],
)
val_dataloader.update(batch_size=4)
val_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'val/annotations.json',
    img_dir=data_root + 'val/images',
    task='interactive_image',
    test_mode=True,
    pipeline=[
        dict(type=FixedSegmentPrompts, mode='box'),
        dict(type=TestResize, scale=canvas, keep_ratio=False),
        dict(type=PackClip),
    ],
)
test_dataloader = val_dataloader
val_evaluator = dict(type=PromptSegMetric)
test_evaluator = val_evaluator
