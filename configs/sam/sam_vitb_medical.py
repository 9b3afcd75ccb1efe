"""SAM ViT-B on two-dimensional grey medical images with one binary mask each, prompted by boxes."""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_folders_decoder import *

from seg.models.losses import MaskBCELoss, MaskDiceLoss

model.update(criterion=dict(mask_losses=[dict(type=MaskDiceLoss), dict(type=MaskBCELoss)]))
for loader in (train_dataloader, val_dataloader, test_dataloader):
    loader['dataset'].update(mask_kind='binary')
del loader
# Grey images have no colours to change, and box prompts suit organs and lesions.
train_dataloader.dataset.pipeline[1].update(saturation=0.0)
train_dataloader.dataset.pipeline[3].update(mode='box')
