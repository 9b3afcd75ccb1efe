"""SAM ViT-B on folders for small GPUs: late updates, recomputed activations."""

from mmengine.config import read_base

with read_base():
    from .sam_vitb_folders_lora import *

model.update(strategy=dict(first_block=8))
activation_checkpointing = [f'image_encoder.blocks.{i}' for i in range(8, 12)]
train_dataloader.update(batch_size=1)
train_dataloader.dataset.pipeline[3].update(max_prompts=4)
optim_wrapper.update(accumulative_counts=8)
