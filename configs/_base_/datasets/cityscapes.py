"""Cityscapes panoptic: crops for training, whole images for evaluation; sizes are (H, W)."""

from mmengine.config import read_base

from seg.datasets import CityscapesDataset
from seg.datasets.transforms import ClipFlip, LargeScaleJitter, PackClip, TestResize
from seg.evaluation.metrics import PanopticMetric

with read_base():
    from ..loaders import *

data_root = 'data/cityscapes/'

cityscapes_train = dict(
    type=CityscapesDataset,
    ann_file=data_root + 'gtFine/cityscapes_panoptic_train.json',
    img_dir=data_root + 'leftImg8bit/train',
    seg_dir=data_root + 'gtFine/cityscapes_panoptic_train',
    task='panoptic',
    dataset_name='cityscapes',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.8, 1.5)),
        dict(type=PackClip),
    ],
)
cityscapes_val = dict(
    type=CityscapesDataset,
    ann_file=data_root + 'gtFine/cityscapes_panoptic_val.json',
    img_dir=data_root + 'leftImg8bit/val',
    seg_dir=data_root + 'gtFine/cityscapes_panoptic_val',
    task='panoptic',
    dataset_name='cityscapes',
    test_mode=True,
    pipeline=[dict(type=TestResize, scale=(1024, 2048)), dict(type=PackClip)],
)

train_dataloader['dataset'] = cityscapes_train
val_dataloader['dataset'] = cityscapes_val
test_dataloader = val_dataloader
val_evaluator = dict(type=PanopticMetric)
test_evaluator = val_evaluator
