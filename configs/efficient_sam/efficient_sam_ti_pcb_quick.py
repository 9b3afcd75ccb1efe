"""EfficientSAM-Ti on circuit boards, for a first look: 20 epochs, batches of 2, a large rate."""

from mmengine.config import read_base

with read_base():
    from .efficient_sam_ti_pcb_standard import *

train_dataloader.update(batch_size=2)
train_cfg.update(max_iters=10_000, val_interval=500)
optim_wrapper.update(optimizer=dict(lr=5e-4))
param_scheduler[0].update(end=500)
param_scheduler[1].update(begin=500, end=10_000)
