"""EfficientSAM-Ti on circuit boards, with patience: 100 epochs, batches of 8, a small rate."""

from mmengine.config import read_base

with read_base():
    from .efficient_sam_ti_pcb_standard import *

train_dataloader.update(batch_size=8, num_workers=8, prefetch_factor=2, pin_memory=True)
train_cfg.update(max_iters=12_500, val_interval=125)
optim_wrapper.update(optimizer=dict(lr=5e-5))
param_scheduler[0].update(end=625)
param_scheduler[1].update(begin=625, end=12_500)
