"""SAM ViT-L on aerial images in folders, trained as a whole, prompted by boxes and points."""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_folders_full import *

model.update(
    variant='vit_l',
    init_cfg=dict(type='Pretrained', checkpoint='models/sam/sam_vit_l_0b3195.pth'),
)
activation_checkpointing = [f'image_encoder.blocks.{i}' for i in range(24)]
train_dataloader.update(batch_size=1)
train_dataloader.dataset.pipeline[3].update(max_prompts=16)
optim_wrapper.update(accumulative_counts=4)
