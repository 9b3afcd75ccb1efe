"""Shapes v1 for promptable models: mixed prompts in training, tight boxes in validation."""

from mmengine.dataset import DefaultSampler

from seg.datasets import ShapesDataset
from seg.datasets.samplers import TaskBatchSampler
from seg.datasets.transforms import (
    ClipFlip,
    ClipResize,
    FixedSegmentPrompts,
    PackClip,
    RandomSegmentPrompts,
    TestResize,
)
from seg.evaluation.metrics import PromptSegMetric

shapes_canvas = (160, 160)

train_dataloader = dict(
    batch_size=4,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=True),
    batch_sampler=dict(type=TaskBatchSampler),
    dataset=dict(
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
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        type=ShapesDataset,
        task='interactive_image',
        split='val',
        num_samples=200,
        pipeline=[
            dict(type=FixedSegmentPrompts, mode='box'),
            dict(type=TestResize, scale=shapes_canvas),
            dict(type=PackClip),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=PromptSegMetric)
test_evaluator = val_evaluator
