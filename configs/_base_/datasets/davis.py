"""DAVIS 2017: clips of two frames at full resolution for training, whole videos at 480p for tests.

In tests every object is given by its mask in the first frame that shows it. All sizes are (H, W).
"""

from mmengine.config import read_base

from seg.datasets import DavisDataset
from seg.datasets.transforms import (
    AppearingMaskPrompts,
    ClipFlip,
    FirstMaskPrompts,
    LargeScaleJitter,
    PackClip,
    TestResize,
)
from seg.evaluation.metrics import DavisMetric

with read_base():
    from ..loaders import *

data_root = 'data/davis/'

davis_train = dict(
    type=DavisDataset,
    root=data_root,
    split='train',
    resolution='Full-Resolution',
    task='vos',
    num_frames=2,
    frame_interval=(2, 2),
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.9, 1.1)),
        dict(type=FirstMaskPrompts),
        dict(type=PackClip),
    ],
)
davis_val = dict(
    type=DavisDataset,
    root=data_root,
    split='val',
    task='vos',
    test_mode=True,
    pipeline=[
        dict(type=AppearingMaskPrompts),
        dict(type=TestResize, scale=(480, 854)),
        dict(type=PackClip),
    ],
)

train_dataloader['dataset'] = davis_train
val_dataloader['dataset'] = davis_val
test_dataloader = val_dataloader
val_evaluator = dict(type=DavisMetric)
test_evaluator = val_evaluator
