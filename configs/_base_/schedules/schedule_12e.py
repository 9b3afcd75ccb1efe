"""The published schedule in iterations; numbers marked (paper) are those of the published code.

It counts epochs over its data at 16 samples per step. Here an epoch is COCO train2017 once for
panoptic and once for clicks: 2 x 118,287 samples = 14,786 steps of 16 samples.
"""

from mmengine.optim import LinearLR, MultiStepLR, OptimWrapper
from torch.optim import AdamW

train_cfg = dict(by_epoch=False, max_iters=12 * 14_786, val_interval=14_786)  # 12 epochs (paper)
val_cfg = dict()
test_cfg = dict()

optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(
        type=AdamW,
        lr=1e-4,  # (paper)
        weight_decay=0.05,  # (paper)
        betas=(0.9, 0.999),  # (paper)
        eps=1e-8,  # (paper)
    ),
    clip_grad=dict(max_norm=0.01, norm_type=2),  # (paper)
    paramwise_cfg=dict(
        # (paper) The key goes before the rule for norms, so norms of the backbone are decayed.
        custom_keys={'backbone': dict(lr_mult=0.1, decay_mult=1.0)},
        norm_decay_mult=0.0,  # (paper)
    ),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=500),  # (paper)
    dict(
        type=MultiStepLR,
        by_epoch=False,
        begin=0,
        end=12 * 14_786,
        milestones=[8 * 14_786, 11 * 14_786],  # epochs 8 and 11 (paper)
        gamma=0.1,  # (paper)
    ),
]
# With fewer samples per step the learning rate shrinks in proportion.
auto_scale_lr = dict(enable=True, base_batch_size=16)  # (paper)
