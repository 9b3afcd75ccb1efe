"""Fine-tuning of a decoder: AdamW, warm-up, cosine, clipped gradients.

The numbers are for 50 epochs, of which 5 warm up, of 1,000 images in batches of 4.
"""

from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

train_cfg = dict(by_epoch=False, max_iters=12_500, val_interval=250)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-4, weight_decay=1e-4),
    clip_grad=dict(max_norm=1.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.01, by_epoch=False, begin=0, end=1_250),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=1_250, end=12_500, eta_min=1e-6),
]
auto_scale_lr = dict(enable=False, base_batch_size=4)
