"""SAM 3 with 1024 channels, 24 blocks, 4 + 4 layers, on COCO class names.

Starts from three in four blocks of the standard model, with the rates that SAM 3 was tuned with:
smaller ones for the image encoder, and the smaller the earlier the block.
"""

from mmengine.config import read_base

from seg.engine.runner import LayerDecayConstructor
from seg.models.peft import TrainAll

with read_base():
    from .sam3_standard_coco import *

model.update(variant='depth_pruned', strategy=dict(type=TrainAll), init_cfg=dict(type='Inherited'))
optim_wrapper.update(
    optimizer=dict(lr=8e-5),
    constructor=LayerDecayConstructor,
    paramwise_cfg=dict(
        layer_decay=0.9,
        custom_keys={'vision_encoder': dict(lr_mult=0.3)},
        norm_decay_mult=0.0,
        bias_decay_mult=0.0,
    ),
)
