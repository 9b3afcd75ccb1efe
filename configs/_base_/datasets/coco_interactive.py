"""One click per segment of COCO panoptic 2017, things and stuff alike; sizes are (H, W)."""

from mmengine.config import read_base

from seg.datasets import CocoPanopticDataset
from seg.datasets.transforms import (
    ClipFlip,
    InteriorClickPrompts,
    LargeScaleJitter,
    PackClip,
    RandomClickPrompts,
    TestResize,
)
from seg.evaluation.metrics import InteractiveMetric

with read_base():
    from ..loaders import *

data_root = 'data/coco/'

coco_interactive_train = dict(
    type=CocoPanopticDataset,
    ann_file=data_root + 'annotations/panoptic_train2017.json',
    img_dir=data_root + 'train2017',
    seg_dir=data_root + 'annotations/panoptic_train2017',
    task='interactive_image',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.1, 2.0), min_area=32),
        dict(type=RandomClickPrompts, num_prompts=30, repeat=True),
        dict(type=PackClip),
    ],
)
coco_interactive_val = dict(
    type=CocoPanopticDataset,
    ann_file=data_root + 'annotations/panoptic_val2017.json',
    img_dir=data_root + 'val2017',
    seg_dir=data_root + 'annotations/panoptic_val2017',
    task='interactive_image',
    test_mode=True,
    pipeline=[
        dict(type=InteriorClickPrompts),
        dict(type=TestResize, scale=(800, 1333)),
        dict(type=PackClip),
    ],
)

train_dataloader['dataset'] = coco_interactive_train
val_dataloader['dataset'] = coco_interactive_val
test_dataloader = val_dataloader
val_evaluator = dict(type=InteractiveMetric)
test_evaluator = val_evaluator
