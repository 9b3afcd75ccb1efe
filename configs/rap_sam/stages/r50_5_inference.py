"""Stage 5 at full size: folded, in 16 bits, and compiled if asked for; see nano_5_inference.py."""

from mmengine.config import read_base

from seg.engine.hooks import DeploymentHook

with read_base():
    from .r50_4_joint import *

train_dataloader, train_cfg, optim_wrapper = None, None, None
param_scheduler, auto_scale_lr = None, None
test_cfg.update(fp16=True)
custom_hooks = [dict(type=DeploymentHook, fold=True, compile='never', size=(800, 1344))]
