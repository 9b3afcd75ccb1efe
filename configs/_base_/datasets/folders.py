"""Images and masks in ``images/{split}`` and ``masks/{split}``; sizes are (H, W)."""

from mmengine.config import read_base

from seg.datasets import FolderDataset
from seg.datasets.transforms import (
    ClipFlip,
    EvaluationPrompts,
    LargeScaleJitter,
    PackClip,
    SimulatedPrompts,
    TestResize,
)
from seg.evaluation.metrics import InteractiveMetric

with read_base():
    from ..loaders import *

data_root = 'data/folders/'

folders_train = dict(
    type=FolderDataset,
    root=data_root,
    split='train',
    task='interactive_image',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.1, 2.0), min_area=32),
        dict(type=SimulatedPrompts, num_prompts=30, kinds=dict(click=0.5, box=0.3, mask=0.2)),
        dict(type=PackClip),
    ],
)
folders_val = dict(
    type=FolderDataset,
    root=data_root,
    split='val',
    task='interactive_image',
    test_mode=True,
    pipeline=[
        dict(type=EvaluationPrompts, kinds=('click', 'box')),
        dict(type=TestResize, scale=(800, 1333)),
        dict(type=PackClip),
    ],
)

train_dataloader['dataset'] = folders_train
val_dataloader['dataset'] = folders_val
test_dataloader = val_dataloader
val_evaluator = dict(type=InteractiveMetric)
test_evaluator = val_evaluator
