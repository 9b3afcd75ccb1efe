"""SAM 3 with 896 channels, 28 blocks, 4 + 4 layers, on COCO class names; trained from scratch.

As good as nothing of the standard model fits its image encoder, so distil it first.
"""

from mmengine.config import read_base

from seg.models.peft import TrainAll

with read_base():
    from .sam3_standard_coco import *

model.update(variant='larger', strategy=dict(type=TrainAll), init_cfg=None)
optim_wrapper.update(optimizer=dict(lr=2e-4))
