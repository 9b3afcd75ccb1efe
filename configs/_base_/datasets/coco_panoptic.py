"""COCO panoptic 2017: images as clips of two crops for training, whole images for evaluation.

Scales and ratios are those of the published training; all sizes are (H, W).
"""

from mmengine.config import read_base

from seg.datasets import CocoPanopticDataset
from seg.datasets.transforms import (
    ClipFlip,
    PackClip,
    PseudoClipJitter,
    TestResize,
)
from seg.evaluation.metrics import PanopticMetric

with read_base():
    from ..loaders import *

data_root = 'data/coco/'

coco_panoptic_train = dict(
    type=CocoPanopticDataset,
    ann_file=data_root + 'annotations/panoptic_train2017.json',
    img_dir=data_root + 'train2017',
    seg_dir=data_root + 'annotations/panoptic_train2017',
    task='panoptic',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=PseudoClipJitter, num_frames=2, scale=(736, 1280), ratio_range=(0.8, 2.0)),
        dict(type=PackClip),
    ],
)
coco_panoptic_val = dict(
    type=CocoPanopticDataset,
    ann_file=data_root + 'annotations/panoptic_val2017.json',
    img_dir=data_root + 'val2017',
    seg_dir=data_root + 'annotations/panoptic_val2017',
    task='panoptic',
    test_mode=True,
    pipeline=[dict(type=TestResize, scale=(800, 1333)), dict(type=PackClip)],
)

train_dataloader['dataset'] = coco_panoptic_train
val_dataloader['dataset'] = coco_panoptic_val
test_dataloader = val_dataloader
val_evaluator = dict(type=PanopticMetric)
test_evaluator = val_evaluator
