"""COCO panoptic and clicks on COCO in turn, one task per batch; validated on panoptic."""

from mmengine.config import read_base

from seg.datasets import MixedDataset

with read_base():
    from .coco_interactive import *
    from .coco_panoptic import *

train_dataloader.update(
    dataset=dict(
        type=MixedDataset,
        sources=dict(panoptic=coco_panoptic_train, interactive=coco_interactive_train),
        ratios=dict(panoptic=1, interactive=1),
    )
)
