"""A small EfficientSAM from scratch on Shapes, on a CPU."""

from mmengine.config import read_base
from mmengine.optim import OptimWrapper
from torch.optim import AdamW

from seg.engine.hooks import CosineByProgressHook
from seg.models.detectors import EfficientSamSegmentor
from seg.models.losses import MaskBCELoss, MaskDiceLoss
from seg.models.peft import TrainAll

with read_base():
    from .._base_.datasets.shapes_prompts import *
    from ..default_runtime import *

# Focal loss, which counts background most, is slow where nothing is known yet.
model = dict(
    type=EfficientSamSegmentor,
    variant='tiny',
    strategy=dict(type=TrainAll),
    ranking='auto',
    criterion=dict(mask_losses=[dict(type=MaskDiceLoss), dict(type=MaskBCELoss)]),
)

train_cfg = dict(by_epoch=False, max_iters=2000, val_interval=1000)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-3, weight_decay=0.01, fused=True),
    clip_grad=dict(max_norm=1.0),
)
default_hooks.update(checkpoint=dict(interval=1000, save_best='prompt/IoU'))
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.03)]
for loader in (train_dataloader, val_dataloader):
    for step in loader['dataset']['pipeline']:
        if 'scale' in step:
            step.update(keep_ratio=False)
del loader, step
test_dataloader = val_dataloader
