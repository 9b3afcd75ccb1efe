"""The small SAM of Shapes, fine-tuned on folders: strategy ``lora``."""

from mmengine.config import read_base

with read_base():
    from .sam_tiny_folders_decoder import *

from seg.models.peft import TrainLora

model.update(strategy=dict(type=TrainLora))
