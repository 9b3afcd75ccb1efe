"""J and F on DAVIS 2017 val of a RapSAM with ResNet-50 that follows first-frame masks.

The published model has no memory; a model trained with this one does.
"""

from mmengine.config import read_base

from seg.models.memory import StreamingMemoryAdapter
from seg.models.refinement import DualPathRefinement

with read_base():
    from .._base_.datasets.davis import *
    from .._base_.models.rap_sam_r50 import *
    from ..default_runtime import *

train_dataloader = None
val_cfg = dict()
test_cfg = dict()
model['head'].update(
    memory=dict(
        type=StreamingMemoryAdapter, long_mem_size=10, short_mem_size=5, update_strategy='adaptive'
    ),
    dual_path=dict(type=DualPathRefinement),
)
model['head']['prompt_encoder'].update(prompt_kinds=('mask',))
