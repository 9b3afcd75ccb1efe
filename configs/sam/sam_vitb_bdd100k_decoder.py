"""SAM's mask decoder on BDD100K, prompted with the box of every class that is there.

The score uses boxes and classes of the ground truth (``oracle_gt_box``), so it does not compare
with semantic segmentation from images alone.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.bdd100k_prompts import *
    from .._base_.models.sam_vit_b import *
    from .._base_.schedules.sam_finetune import *
    from ..default_runtime import *

from seg.engine.hooks import TrainedWeightsHook
from seg.models.losses import MaskBCELoss, MaskDiceLoss

# Only the decoder, Dice and cross-entropy, as in the guide; ignored pixels stay ignored.
model.update(
    strategy=dict(prompt_encoder=False),
    criterion=dict(
        mask_losses=[dict(type=MaskDiceLoss), dict(type=MaskBCELoss)],
        ranking='single',
        ignore_uncovered=True,
    ),
    ranking='single',
    semantic=True,
)
optim_wrapper.update(optimizer=dict(lr=5e-5), accumulative_counts=4)
default_hooks.update(checkpoint=dict(interval=500, save_best='oracle_gt_box/mIoU'))
custom_hooks = [dict(type=TrainedWeightsHook)]
