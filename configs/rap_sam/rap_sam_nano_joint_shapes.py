"""All four tasks, a quarter of the steps each: what single-task twins stand beside.

Goes on from trained weights: ``--cfg-options load_from=FILE``; for nothing to go on from there is
``rap_sam_nano_joint_scratch_shapes.py``. ``tools/analysis_tools/negative_transfer.py --joint``
trains the model and its twins and compares them.
"""

from mmengine.config import read_base

from seg.engine.hooks import CosineByProgressHook

with read_base():
    from .rap_sam_nano_shapes import *

train_dataloader['dataset'].update(
    ratios=dict(panoptic=1, interactive_image=1, vos=1, interactive_video=1)
)
optim_wrapper['optimizer'].update(lr=1e-3)
train_cfg = dict(by_epoch=False, max_iters=16_000, val_interval=16_000)
custom_hooks = [dict(type=CosineByProgressHook, warmup=0.02)]
