"""SAM 3 on COCO class names: everything but image and text encoder is trained.

Weights are under the SAM License and have to be asked for; see README.md.
"""

from mmengine.config import read_base

from seg.models.detectors import Sam3Segmentor

with read_base():
    from .._base_.datasets.coco_phrases import *
    from .._base_.schedules.sam_finetune import *
    from ..default_runtime import *

model = dict(
    type=Sam3Segmentor,
    variant='standard',
    init_cfg=dict(type='Pretrained', checkpoint='models/sam3/model.safetensors'),
)
find_unused_parameters = False  # what nothing depends on is frozen
optim_wrapper.update(clip_grad=dict(max_norm=0.1))
default_hooks.update(checkpoint=dict(interval=500, save_best='concept/cgF1'))
