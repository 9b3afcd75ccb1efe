"""The joint model without its task embedding, which stays at zero."""

from mmengine.config import read_base

with read_base():
    from ..rap_sam_nano_joint_shapes import *

optim_wrapper['paramwise_cfg'].update(
    custom_keys={'head.router.task_embed': dict(lr_mult=0.0, decay_mult=0.0)}
)
