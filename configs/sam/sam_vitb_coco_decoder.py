"""SAM ViT-B on any data set in COCO instance format."""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_folders_decoder import *

from seg.datasets import CocoInstanceDataset

data_root = 'data/coco/'
train_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'annotations/instances_train2017.json',
    img_dir=data_root + 'train2017',
    task='interactive_image',
    pipeline=train_dataloader['dataset']['pipeline'],
)
val_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'annotations/instances_val2017.json',
    img_dir=data_root + 'val2017',
    task='interactive_image',
    test_mode=True,
    pipeline=val_dataloader['dataset']['pipeline'],
)
test_dataloader = val_dataloader
