"""The small SAM of Shapes, fine-tuned on what was annotated and exported in COCO's format."""

from mmengine.config import read_base

with read_base():
    from .sam_tiny_shapes import *

from seg.datasets import CocoInstanceDataset
from seg.engine.hooks import CosineByProgressHook

model.update(
    init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sam_tiny_shapes/best.pth'),
)
data_root = 'outputs/annotated/'
train_dataloader['dataset'] = dict(
    type=CocoInstanceDataset,
    ann_file=data_root + 'instances.json',
    img_dir=data_root + 'images',
    task='interactive_image',
    pipeline=train_dataloader['dataset']['pipeline'],
)
train_cfg.update(max_iters=300, val_interval=300)
optim_wrapper.update(optimizer=dict(lr=5e-4))
default_hooks.update(checkpoint=dict(interval=300))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.05)]
