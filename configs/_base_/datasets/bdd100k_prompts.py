"""BDD100K with a box around every class that an image shows."""

from mmengine.dataset import DefaultSampler

from seg.datasets import BDD100KDataset
from seg.datasets.samplers import TaskBatchSampler
from seg.datasets.transforms import (
    ClipColorJitter,
    ClipFlip,
    ClipResize,
    FixedSegmentPrompts,
    PackClip,
    RandomSegmentPrompts,
    TestResize,
)
from seg.evaluation.metrics import SemanticIoUMetric

data_root = 'data/bdd100k/'
canvas = (1024, 1024)

train_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=True),
    batch_sampler=dict(type=TaskBatchSampler),
    dataset=dict(
        type=BDD100KDataset,
        root=data_root,
        split='train',
        task='interactive_image',
        pipeline=[
            dict(type=ClipFlip, prob=0.5),
            dict(type=ClipColorJitter, brightness=0.2, contrast=0.2, saturation=0.2),
            dict(type=ClipResize, scale=canvas),
            dict(type=RandomSegmentPrompts, mode='box', max_prompts=19),
            dict(type=PackClip),
        ],
    ),
)
val_dataloader = dict(
    batch_size=4,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type=DefaultSampler, shuffle=False),
    dataset=dict(
        type=BDD100KDataset,
        root=data_root,
        split='val',
        task='interactive_image',
        test_mode=True,
        pipeline=[
            dict(type=FixedSegmentPrompts, mode='box'),
            dict(type=TestResize, scale=canvas),
            dict(type=PackClip),
        ],
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(type=SemanticIoUMetric, regime='oracle_gt_box')
test_evaluator = val_evaluator
