"""Any data set in COCO instance format; class names come from the file. Sizes are (H, W)."""

from mmengine.config import read_base

from seg.datasets import CocoInstanceDataset
from seg.datasets.transforms import (
    ClipColorJitter,
    ClipFlip,
    LargeScaleJitter,
    PackClip,
    TestResize,
)
from seg.evaluation.metrics import InstanceMetric

with read_base():
    from ..loaders import *

data_root = 'data/custom/'

train_dataloader.update(batch_size=2)
train_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'annotations/train.json',
    img_dir=data_root + 'train',
    task='panoptic',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=ClipColorJitter),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.5, 2.0), min_area=16),
        dict(type=PackClip),
    ],
)
val_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'annotations/val.json',
    img_dir=data_root + 'val',
    task='panoptic',
    test_mode=True,
    pipeline=[dict(type=TestResize, scale=(736, 1280)), dict(type=PackClip)],
)
test_dataloader = val_dataloader
val_evaluator = dict(type=InstanceMetric)
test_evaluator = val_evaluator
