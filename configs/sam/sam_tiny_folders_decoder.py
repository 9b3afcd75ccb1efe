"""The small SAM of Shapes, fine-tuned on folders: strategy ``decoder``."""

from mmengine.config import read_base

with read_base():
    from .sam_tiny_shapes import *

from seg.datasets import FolderDataset
from seg.engine.hooks import CosineByProgressHook, TrainedWeightsHook
from seg.models.peft import TrainDecoder

model['strategy'] = dict(type=TrainDecoder)
model.update(
    init_cfg=dict(type='Pretrained', checkpoint='work_dirs/sam_tiny_shapes/best.pth'),
)
data_root = 'data/shapes_folders'
train_dataloader['dataset'] = dict(
    type=FolderDataset,
    root=data_root,
    split='train',
    task='interactive_image',
    pipeline=train_dataloader['dataset']['pipeline'],
)
val_dataloader['dataset'] = dict(
    type=FolderDataset,
    root=data_root,
    split='val',
    task='interactive_image',
    test_mode=True,
    pipeline=val_dataloader['dataset']['pipeline'],
)
test_dataloader = val_dataloader
train_cfg.update(max_iters=400, val_interval=200)
optim_wrapper.update(optimizer=dict(lr=5e-4))
default_hooks.update(checkpoint=dict(interval=400))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.05), dict(type=TrainedWeightsHook)]
