"""BDD100K semantic segmentation, one segment per class of an image; sizes are (H, W)."""

from mmengine.config import read_base

from seg.datasets import BDD100KDataset
from seg.datasets.transforms import ClipFlip, LargeScaleJitter, PackClip, TestResize
from seg.evaluation.metrics import PanopticMetric

with read_base():
    from ..loaders import *

data_root = 'data/bdd100k/'

bdd100k_train = dict(
    type=BDD100KDataset,
    root=data_root,
    split='train',
    task='panoptic',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.5, 2.0)),
        dict(type=PackClip),
    ],
)
bdd100k_val = dict(
    type=BDD100KDataset,
    root=data_root,
    split='val',
    task='panoptic',
    test_mode=True,
    pipeline=[dict(type=TestResize, scale=(736, 1280)), dict(type=PackClip)],
)

train_dataloader['dataset'] = bdd100k_train
val_dataloader['dataset'] = bdd100k_val
test_dataloader = val_dataloader
val_evaluator = dict(type=PanopticMetric)
test_evaluator = val_evaluator
