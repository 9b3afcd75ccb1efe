"""Panoptic quality of whole videos of VIPSeg, of a RapSAM with ResNet-50 that classifies by text.

A video counts as one volume: a segment has to keep its id from the first frame to the last.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.vipseg import *
    from .._base_.models.rap_sam_r50 import *
    from ..default_runtime import *

train_dataloader = None
val_cfg = dict()
test_cfg = dict()
model.update(
    head=dict(
        num_things=58,
        num_stuff=66,
        classifier=dict(embedding_file='data/embeddings/convnext_large_d_320_vipseg.safetensors'),
    )
)
