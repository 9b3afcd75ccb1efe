"""COCO panoptic and clicks on COCO in turn, one task per batch; validated on panoptic."""

from mmengine.config import read_base

from seg.datasets import MixedDataset

with read_base():
    from .coco_interactive import *
    from .coco_panoptic import *

# Assigned, as update() would merge with the keys of the single data set.
train_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(panoptic=coco_panoptic_train, interactive=coco_interactive_train),
    ratios=dict(panoptic=1, interactive=1),
)
