"""Stage 3: objects followed through videos, with memory and dual-path refinement, from stage 2."""

from mmengine.config import read_base

from seg.engine.hooks import CosineByProgressHook

with read_base():
    from ..rap_sam_nano_shapes import *

train_dataloader['dataset']['ratios'] = dict(vos=1, interactive_video=1)
for loader in (train_dataloader, val_dataloader):
    for name in ('panoptic', 'interactive_image'):
        loader['dataset']['sources'].pop(name)
for source in val_dataloader['dataset']['sources'].values():
    source.update(num_samples=2, num_frames=12)
for name in ('panoptic', 'interactive_image'):
    val_evaluator['metrics'].pop(name)
del loader, name, source
test_dataloader, test_evaluator = val_dataloader, val_evaluator

model['head']['clip_schedule'].update(truth_steps=20)
train_cfg = dict(by_epoch=False, max_iters=40, val_interval=40)
default_hooks.update(checkpoint=dict(interval=10, save_best=['davis/J&F', 'interactive_video/J&F']))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.03)]
