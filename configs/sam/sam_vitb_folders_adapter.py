"""SAM ViT-B on folders of images and masks: adapters, decoder and prompts."""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_folders_decoder import *

from seg.models.peft import TrainAdapters

model.update(strategy=dict(type=TrainAdapters))
optim_wrapper.update(optimizer=dict(lr=2e-4))
