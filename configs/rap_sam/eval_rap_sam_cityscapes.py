"""Panoptic quality on Cityscapes of a RapSAM with ResNet-50 that classifies by text."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.cityscapes import *
    from .._base_.models.rap_sam_r50 import *
    from ..default_runtime import *

train_dataloader = None
val_cfg = dict()
test_cfg = dict()
model.update(
    head=dict(
        num_things=8,
        num_stuff=11,
        classifier=dict(
            embedding_file='data/embeddings/convnext_large_d_320_cityscapes.safetensors'
        ),
    )
)
