"""COCO panoptic, YouTube-VIS 2021, first-frame masks on DAVIS, and expressions of RefCOCO.

153 classes. The COCO images on which expressions are scored are left out.
"""

from mmengine.config import read_base

from seg.datasets import JointLabels, MixedDataset
from seg.evaluation.metrics import DavisMetric, InteractiveMetric, PanopticMetric, TaskEvaluator

with read_base():
    from .coco_refcoco import *
    from .davis import davis_train, davis_val
    from .refcoco import refcoco_val
    from .youtube_vis_2021 import youtube_vis_train as youtube_vis_2021_train

label_space = 'coco_panoptic+youtube_vis_2021'

train_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(
        coco=dict(type=JointLabels, dataset=coco_panoptic_train, label_space=label_space),
        yt21=dict(type=JointLabels, dataset=youtube_vis_2021_train, label_space=label_space),
        davis=dict(type=JointLabels, dataset=davis_train, label_space=label_space),
        ref=dict(type=JointLabels, dataset=refcoco_train, label_space=label_space),
    ),
    ratios=dict(coco=2, yt21=1, davis=1, ref=1),
)
val_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(
        coco=dict(type=JointLabels, dataset=coco_panoptic_val, label_space=label_space),
        ref=dict(type=JointLabels, dataset=refcoco_val, label_space=label_space),
        davis=dict(type=JointLabels, dataset=davis_val, label_space=label_space),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type=TaskEvaluator,
    metrics=dict(
        panoptic=dict(type=PanopticMetric),
        interactive_image=dict(type=InteractiveMetric),
        vos=dict(type=DavisMetric),
    ),
)
test_evaluator = val_evaluator
