"""Stage 3 at full size: objects followed through videos, from stage 2."""

from mmengine.config import read_base

with read_base():
    from ..rap_sam_r50_joint import *

kept = ('davis', 'prompted_clips')
for loader in (train_dataloader, val_dataloader):
    for name in list(loader['dataset']['sources']):
        if name not in kept:
            loader['dataset']['sources'].pop(name)
train_dataloader['dataset']['ratios'] = dict(davis=1, prompted_clips=1)
for name in ('panoptic', 'interactive_image'):
    val_evaluator['metrics'].pop(name)
del kept, loader, name
test_dataloader, test_evaluator = val_dataloader, val_evaluator
default_hooks['checkpoint'].update(save_best='davis/J&F')
