"""Shapes v1 for promptable models: mixed prompts in training, tight boxes in validation."""

from mmengine.config import read_base

from seg.datasets import ShapesDataset
from seg.datasets.transforms import (
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

shapes_canvas = (160, 160)

train_dataloader.update(batch_size=4, num_workers=1)
train_dataloader['dataset'] = dict(
    type=ShapesDataset,
    task='interactive_image',
    split='train',
    num_samples=1_000_000,
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=ClipResize, scale=shapes_canvas),
        dict(type=RandomSegmentPrompts, mode='mixed', max_prompts=4, min_area=16),
        dict(type=PackClip),
    ],
)
val_dataloader.update(batch_size=8, num_workers=1)
val_dataloader['dataset'] = dict(
    type=ShapesDataset,
    task='interactive_image',
    split='val',
    num_samples=200,
    pipeline=[
        dict(type=FixedSegmentPrompts, mode='box'),
        dict(type=TestResize, scale=shapes_canvas),
        dict(type=PackClip),
    ],
)
test_dataloader = val_dataloader
val_evaluator = dict(type=PromptSegMetric)
test_evaluator = val_evaluator
