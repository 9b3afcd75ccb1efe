"""The small RapSAM trained for panoptic alone, to stand beside a peer that knows nothing else."""

from mmengine.config import read_base

with read_base():
    from ..rap_sam.rap_sam_nano_quick_shapes import *

for loader in (train_dataloader, val_dataloader):
    loader['dataset']['sources'].pop('interactive_image')
del loader
val_evaluator['metrics'].pop('interactive_image')
test_dataloader, test_evaluator = val_dataloader, val_evaluator
default_hooks['checkpoint'].update(save_best='panoptic/PQ')
custom_hooks = [
    dict(type=TimeBudgetHook, minutes=60, measure='cpu'),
    dict(type=CosineByProgressHook, warmup=0.03),
    dict(type=SteeringHook),
]
train_cfg.update(max_iters=1_000_000, val_interval=1_000_000)
