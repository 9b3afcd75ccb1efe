"""Stage 5: the model of stage 4 as it is used: folded, in 16 bits, compiled if asked for.

There is nothing to train: ``tools/train_stages.py`` tests the model as trained and as used, and
packs it. Compiling takes minutes for each of the sizes of batches and clips, so it is turned on
by ``custom_hooks.0.compile=if_possible``.
"""

from mmengine.config import read_base

from seg.engine.hooks import DeploymentHook

with read_base():
    from .nano_4_joint import *

train_dataloader, train_cfg, optim_wrapper = None, None, None
test_cfg.update(fp16=True)  # bfloat16 on a CPU
test_cfg['protocol'].update(max_clicks=3)
custom_hooks = [dict(type=DeploymentHook, fold=True, compile='never', size=(128, 160))]
