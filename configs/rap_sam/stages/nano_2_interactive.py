"""Stage 2: prompts on images, from the features of stage 1."""

from mmengine.config import read_base

from seg.engine.hooks import CosineByProgressHook

with read_base():
    from ..rap_sam_nano_prompts_shapes import *

train_dataloader['dataset']['sources'].pop('panoptic')
val_dataloader['dataset']['sources'].pop('panoptic')
val_dataloader['dataset']['sources']['interactive_image'].update(num_samples=16)
val_evaluator['metrics'].pop('panoptic')
test_dataloader, test_evaluator = val_dataloader, val_evaluator
train_cfg = dict(by_epoch=False, max_iters=150, val_interval=150)
default_hooks.update(
    checkpoint=dict(interval=50, save_best=['interactive/mIoU@1', 'interactive/box_mIoU'])
)
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.03)]
