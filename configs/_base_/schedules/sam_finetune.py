"""Fine-tuning of a pretrained SAM: AdamW, warm-up, cosine to a smallest rate, clipped gradients."""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

train_cfg = dict(by_epoch=False, max_iters=10_000, val_interval=500)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-4, weight_decay=0.01, betas=(0.9, 0.999)),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=400),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=400, end=10_000, eta_min=1e-6),
]
auto_scale_lr = dict(enable=False, base_batch_size=8)
