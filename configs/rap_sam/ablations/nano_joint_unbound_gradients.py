"""The joint model without a bound on its gradients, so that the tasks with long ones count more.

With the bound of 20, all tasks but ``vos`` are cut to one length at most steps.
"""

from mmengine.config import read_base

with read_base():
    from ..rap_sam_nano_joint_shapes import *

optim_wrapper.update(clip_grad=None)
