"""First part of the embedded weights' recipe: ``rap_sam_nano_quick_shapes.py`` for longer.

Start it with ``--cfg-options load_from=FILE``: a dense loss that counts small segments more needs
features that know the textures already. Stopped at any time, it goes on with
``tools/train.py CONFIG --resume`` where it was.
"""

from mmengine.config import read_base

from seg.engine.hooks import CosineByProgressHook, TimeBudgetHook

with read_base():
    from .rap_sam_nano_quick_shapes import *

model['head']['semantic_auxiliary'].update(balance=0.25, alone_until=0.0)
train_cfg = dict(by_epoch=False, max_iters=16000, val_interval=1000)
default_hooks.update(checkpoint=dict(interval=500))
custom_hooks = [
    dict(type=TimeBudgetHook, minutes=110, measure='wall'),
    dict(type=CosineByProgressHook, warmup=0.02),
]
