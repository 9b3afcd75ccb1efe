"""The small SAM of Shapes, fine-tuned on folders: strategy ``full``."""

from mmengine.config import read_base

with read_base():
    from .sam_tiny_folders_decoder import *

from seg.models.peft import TrainAll

model.update(strategy=dict(type=TrainAll))
optim_wrapper.update(optimizer=dict(lr=2e-4))
