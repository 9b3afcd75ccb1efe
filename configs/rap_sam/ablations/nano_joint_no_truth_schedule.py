"""The joint model whose memory holds its own masks from the first step on, and no true ones.

From trained weights the joint model does the same, as its schedule is over.
"""

from mmengine.config import read_base

with read_base():
    from ..rap_sam_nano_joint_shapes import *

model['head']['clip_schedule'].update(truth_steps=0)
