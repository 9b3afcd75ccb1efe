"""VIPSeg: clips of two frames for training, whole videos for evaluation; sizes are (H, W)."""

from mmengine.config import read_base

from seg.datasets import VIPSegDataset
from seg.datasets.transforms import ClipFlip, LargeScaleJitter, PackClip, TestResize
from seg.evaluation.metrics import PanopticMetric

with read_base():
    from ..loaders import *

data_root = 'data/vipseg/'

vipseg_train = dict(
    type=VIPSegDataset,
    root=data_root,
    split='train',
    task='panoptic',
    num_frames=2,
    frame_interval=(2, 2),
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=LargeScaleJitter, scale=(736, 1280), ratio_range=(0.8, 2.0)),
        dict(type=PackClip),
    ],
)
vipseg_val = dict(
    type=VIPSegDataset,
    root=data_root,
    split='val',
    task='panoptic',
    test_mode=True,
    pipeline=[dict(type=TestResize, scale=(736, 1280)), dict(type=PackClip)],
)

train_dataloader['dataset'] = vipseg_train
val_dataloader['dataset'] = vipseg_val
test_dataloader = val_dataloader
val_evaluator = dict(type=PanopticMetric)
test_evaluator = val_evaluator
