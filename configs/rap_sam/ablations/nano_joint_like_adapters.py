"""The joint model with two adapters of one kind: objects that are asked for get the dynamic update.

Both still have weights of their own. The quality of masks comes from the last stage. From trained
weights this adapter starts anew, so leave ``head.prompt_adapter`` out of those that both models
start from.
"""

from mmengine.config import read_base

with read_base():
    from ..rap_sam_nano_joint_shapes import *

model['head']['prompt_adapter'] = dict(**model['head']['object_adapter'], embed_channels=96)
