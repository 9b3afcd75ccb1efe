"""Shapes v1 for panoptic and single clicks, half of the batches each."""

from mmengine.dataset import DefaultSampler

from seg.datasets import MixedDataset, ShapesDataset
from seg.datasets.samplers import OrderedTaskBatchSampler, TaskBatchSampler
from seg.datasets.transforms import (
    ClipFlip,
    InteriorClickPrompts,
    PackClip,
    RandomClickPrompts,
    TestResize,
)
from seg.evaluation.metrics import InteractiveMetric, PanopticMetric, TaskEvaluator

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=True),
    batch_sampler=dict(type=TaskBatchSampler),
    dataset=dict(
        type=MixedDataset,
        sources=dict(
            panoptic=dict(
                type=ShapesDataset,
                task='panoptic',
                split='train',
                num_samples=1_000_000,
                pipeline=[dict(type=ClipFlip, prob=0.5), dict(type=PackClip)],
            ),
            interactive_image=dict(
                type=ShapesDataset,
                task='interactive_image',
                split='train',
                num_samples=1_000_000,
                pipeline=[
                    dict(type=ClipFlip, prob=0.5),
                    dict(type=RandomClickPrompts, num_prompts=12),
                    dict(type=PackClip),
                ],
            ),
        ),
    ),
)
val_dataloader = dict(
    batch_size=16,
    num_workers=0,
    sampler=dict(type=DefaultSampler, shuffle=False),
    batch_sampler=dict(type=OrderedTaskBatchSampler),
    dataset=dict(
        type=MixedDataset,
        sources=dict(
            panoptic=dict(
                type=ShapesDataset,
                task='panoptic',
                split='val',
                num_samples=256,
                pipeline=[dict(type=TestResize, scale=(128, 160)), dict(type=PackClip)],
            ),
            interactive_image=dict(
                type=ShapesDataset,
                task='interactive_image',
                split='val',
                num_samples=256,
                pipeline=[
                    dict(type=InteriorClickPrompts),
                    dict(type=TestResize, scale=(128, 160)),
                    dict(type=PackClip),
                ],
            ),
        ),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type=TaskEvaluator,
    metrics=dict(
        panoptic=dict(type=PanopticMetric), interactive_image=dict(type=InteractiveMetric)
    ),
)
test_evaluator = val_evaluator
