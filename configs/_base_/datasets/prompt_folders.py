"""Images and masks in folders, mixed prompts in training and tight boxes in validation."""

from mmengine.config import read_base

from seg.datasets import FolderDataset
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

data_root = 'data/folders/'
canvas = (1024, 1024)

train_dataloader.update(batch_size=2)
train_dataloader['dataset'] = dict(
    type=FolderDataset,
    root=data_root,
    split='train',
    task='interactive_image',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=ClipColorJitter, brightness=0.2, contrast=0.2, saturation=0.2),
        dict(type=ClipResize, scale=canvas),
        dict(type=RandomSegmentPrompts, mode='mixed', max_prompts=8),
        dict(type=PackClip),
    ],
)
val_dataloader.update(batch_size=2)
val_dataloader['dataset'] = dict(
    type=FolderDataset,
    root=data_root,
    split='val',
    task='interactive_image',
    test_mode=True,
    pipeline=[
        dict(type=FixedSegmentPrompts, mode='box'),
        dict(type=TestResize, scale=canvas),
        dict(type=PackClip),
    ],
)
test_dataloader = val_dataloader
val_evaluator = dict(type=PromptSegMetric)
test_evaluator = val_evaluator
