"""Panoptic and clicks on COCO, one task per batch, half of the batches each; both evaluated."""

from mmengine.config import read_base

from seg.datasets import MixedDataset
from seg.datasets.samplers import OrderedTaskBatchSampler
from seg.evaluation.metrics import InteractiveMetric, PanopticMetric, TaskEvaluator

with read_base():
    from .coco_interactive import *
    from .coco_panoptic import *

# Assigned, as update() would merge with the keys of the single data set.
train_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(panoptic=coco_panoptic_train, interactive_image=coco_interactive_train),
    ratios=dict(panoptic=1, interactive_image=1),
)
val_dataloader['batch_sampler'] = dict(type=OrderedTaskBatchSampler)
val_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(panoptic=coco_panoptic_val, interactive_image=coco_interactive_val),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type=TaskEvaluator,
    metrics=dict(
        panoptic=dict(type=PanopticMetric), interactive_image=dict(type=InteractiveMetric)
    ),
)
test_evaluator = val_evaluator
