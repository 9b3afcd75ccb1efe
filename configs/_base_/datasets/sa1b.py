"""SA-1B in folders of any depth below ``train`` and ``val``, 30 masks of an image at a time.

All sizes are (H, W). Large parts of it are read faster from tar shards, see ``shards.py``.
"""

from mmengine.config import read_base

from seg.datasets import SA1BDataset
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

data_root = 'data/sa1b/'

sa1b_train = dict(
    type=SA1BDataset,
    root=data_root + 'train',
    task='interactive_image',
    max_segments=30,
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.1, 2.0), min_area=32),
        dict(type=SimulatedPrompts, num_prompts=30, kinds=dict(click=0.5, box=0.3, mask=0.2)),
        dict(type=PackClip),
    ],
)
sa1b_val = dict(
    type=SA1BDataset,
    root=data_root + 'val',
    task='interactive_image',
    test_mode=True,
    pipeline=[
        dict(type=EvaluationPrompts, kinds=('click', 'box')),
        dict(type=TestResize, scale=(800, 1333)),
        dict(type=PackClip),
    ],
)

train_dataloader['dataset'] = sa1b_train
val_dataloader['dataset'] = sa1b_val
test_dataloader = val_dataloader
val_evaluator = dict(type=InteractiveMetric)
test_evaluator = val_evaluator
