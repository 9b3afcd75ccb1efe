"""COCO instances 2017: the 80 things, with the official AP; all sizes are (H, W)."""

from mmengine.config import read_base

from seg.datasets.transforms import PackClip, TestResize

with read_base():
    from .coco_instance import *

data_root = 'data/coco/'

train_dataloader.update(
    dataset=dict(
        ann_file=data_root + 'annotations/instances_train2017.json',
        img_dir=data_root + 'train2017',
    )
)
val_dataloader.update(
    dataset=dict(
        ann_file=data_root + 'annotations/instances_val2017.json',
        img_dir=data_root + 'val2017',
        pipeline=[dict(type=TestResize, scale=(800, 1333)), dict(type=PackClip)],
    )
)
test_dataloader = val_dataloader
val_evaluator.update(ann_file=data_root + 'annotations/instances_val2017.json')
test_evaluator = val_evaluator
