"""All four tasks from nothing, a quarter of the steps each.

``tools/analysis_tools/negative_transfer.py`` trains this model and its twins, which start from
nothing as well. Features learn the classes of pixels first, as in ``rap_sam_nano_quick_shapes.py``.
"""

from mmengine.config import read_base

from seg.engine.hooks import SteeringHook

with read_base():
    from .rap_sam_nano_joint_shapes import *

model['head']['semantic_auxiliary'].update(balance=0.0, alone_until=0.25)
custom_hooks += [dict(type=SteeringHook)]
