"""Stage 4: all four tasks together, from stage 3."""

from mmengine.config import read_base

from seg.engine.hooks import CosineByProgressHook

with read_base():
    from ..rap_sam_nano_shapes import *

for source in val_dataloader['dataset']['sources'].values():
    source.update(num_samples=6 if 'num_frames' in source else 48)
    if 'num_frames' in source:
        source.update(num_frames=12)
del source
test_dataloader, test_evaluator = val_dataloader, val_evaluator

model['head']['clip_schedule'].update(truth_steps=0)
train_cfg = dict(by_epoch=False, max_iters=60, val_interval=60)
default_hooks.update(checkpoint=dict(interval=10))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.03)]
