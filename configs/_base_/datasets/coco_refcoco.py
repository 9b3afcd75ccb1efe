"""COCO panoptic, clicks on COCO, and the words of RefCOCO for training, one task per batch.

The images that RefCOCO, RefCOCO+ or RefCOCOg use for validation and tests are left out of every
source, so that all three can be scored afterwards. The ids of COCO 2014 are those of 2017.
"""

from mmengine.config import read_base

from seg.datasets import JointLabels, MixedDataset

with read_base():
    from .coco_panoptic_interactive import *
    from .refcoco import refcoco_train

refs_files = [
    'data/refcoco/refcoco/refs(unc).p',
    'data/refcoco/refcoco+/refs(unc).p',
    'data/refcoco/refcocog/refs(umd).p',
]
coco_panoptic_train.update(held_out_refs=refs_files)
coco_interactive_train.update(held_out_refs=refs_files)
refcoco_train.update(held_out_refs=refs_files)

label_space = 'coco_panoptic'
train_dataloader['dataset'] = dict(
    type=MixedDataset,
    sources=dict(
        panoptic=dict(type=JointLabels, dataset=coco_panoptic_train, label_space=label_space),
        clicks=dict(type=JointLabels, dataset=coco_interactive_train, label_space=label_space),
        expressions=dict(type=JointLabels, dataset=refcoco_train, label_space=label_space),
    ),
)
