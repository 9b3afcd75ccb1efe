"""The recipe of the embedded weights: as ``rap_sam_nano_shapes.py``, for longer.

Made for two processes of one thread each, which two CPU cores serve best:
``OMP_NUM_THREADS=1 tools/dist_train.sh configs/rap_sam/rap_sam_nano_shapes_long.py 2``.
"""

from mmengine.config import read_base

from seg.engine.hooks import CosineByProgressHook, TimeBudgetHook

with read_base():
    from .rap_sam_nano_shapes import *

train_cfg = dict(by_epoch=False, max_iters=16000, val_interval=1000)
default_hooks.update(checkpoint=dict(interval=500))
custom_hooks = [
    dict(type=TimeBudgetHook, minutes=80, measure='wall'),
    dict(type=CosineByProgressHook, warmup=0.02),
]
