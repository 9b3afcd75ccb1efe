"""SAM 3 with 1024 channels, 24 blocks, 4 + 4 layers, on COCO class names.

Starts from three in four blocks of the standard model.
"""

from mmengine.config import read_base

from seg.models.peft import TrainAll

with read_base():
    from .sam3_standard_coco import *

model.update(variant='depth_pruned', strategy=dict(type=TrainAll), init_cfg=dict(type='Inherited'))
optim_wrapper.update(optimizer=dict(lr=2e-4))
