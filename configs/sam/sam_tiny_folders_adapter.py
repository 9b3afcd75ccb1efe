"""The small SAM of Shapes, fine-tuned on folders: strategy ``adapter``."""

from mmengine.config import read_base

with read_base():
    from .sam_tiny_folders_decoder import *

from seg.models.peft import TrainAdapters

model.update(strategy=dict(type=TrainAdapters, hidden=16))
