"""SAM ViT-B on folders of images and masks: everything is trained."""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_folders_decoder import *

from seg.models.peft import TrainAll

model.update(strategy=dict(type=TrainAll))
optim_wrapper.update(optimizer=dict(lr=2e-5))
