"""Stage 2 at full size: clicks on COCO, all prompts on SA-1B, and words, from stage 1."""

from mmengine.config import read_base

with read_base():
    from ..rap_sam_r50_joint import *

kept = ('points', 'sam', 'ref')
for loader in (train_dataloader, val_dataloader):
    for name in list(loader['dataset']['sources']):
        if name not in kept:
            loader['dataset']['sources'].pop(name)
train_dataloader['dataset']['ratios'] = dict(points=1, sam=1, ref=1)
for name in ('panoptic', 'vos'):
    val_evaluator['metrics'].pop(name)
del kept, loader, name
test_dataloader, test_evaluator = val_dataloader, val_evaluator
default_hooks['checkpoint'].update(save_best=['interactive/mIoU@1', 'interactive/text_gIoU'])
