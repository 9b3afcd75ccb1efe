"""COCO 2017 for models that find all instances of a phrase: class names, there or not."""

from mmengine.config import read_base

from seg.datasets import CocoInstanceDataset
from seg.datasets.metainfo import COCO_PHRASES
from seg.datasets.transforms import ClipFlip, ClipResize, ConceptPhrases, PackClip, TestResize
from seg.evaluation.metrics import ConceptMetric, InstanceMetric

with read_base():
    from ..loaders import *

data_root = 'data/coco/'
canvas = (1008, 1008)

train_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'annotations/instances_train2017.json',
    img_dir=data_root + 'train2017',
    task='interactive_image',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=ClipResize, scale=canvas, keep_ratio=False),
        dict(type=ConceptPhrases, phrases=COCO_PHRASES, max_present=4, num_absent=2),
        dict(type=PackClip),
    ],
)
val_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'annotations/instances_val2017.json',
    img_dir=data_root + 'val2017',
    task='interactive_image',
    test_mode=True,
    pipeline=[
        dict(type=ConceptPhrases, phrases=COCO_PHRASES),
        dict(type=TestResize, scale=canvas, keep_ratio=False),
        dict(type=PackClip),
    ],
)
test_dataloader = val_dataloader
val_evaluator = [
    dict(type=ConceptMetric),
    dict(
        type=InstanceMetric,
        ann_file=data_root + 'annotations/instances_val2017.json',
        iou_types=('segm',),
    ),
]
test_evaluator = val_evaluator
