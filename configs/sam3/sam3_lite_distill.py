"""The image encoder of lite learns to see as the standard model's does: the first step to lite.

Its coarse feature map, 72 x 72 x 256, is to equal the teacher's. What fits besides the image
encoder is taken over. No labels are used; train on with ``sam3_lite_coco.py`` and
``model.init_cfg=dict(type='Pretrained', checkpoint=...)``.
"""

from mmengine.config import read_base

from seg.models.detectors import Distiller, Sam3Segmentor
from seg.models.losses import EmbeddingDistillation
from seg.models.peft import TrainAll

with read_base():
    from .sam3_standard_coco import *

published = 'models/sam3/model.safetensors'
model = dict(
    type=Distiller,
    student=dict(
        type=Sam3Segmentor,
        variant='lite',
        strategy=dict(type=TrainAll),
        init_cfg=dict(type='Inherited', checkpoint=published, least_share=0.1),
    ),
    teacher=dict(
        type=Sam3Segmentor,
        variant='standard',
        init_cfg=dict(type='Pretrained', checkpoint=published),
    ),
    parts=[dict(type=EmbeddingDistillation, channels=256)],
)
find_unused_parameters = True  # the map depends on the image encoder alone
optim_wrapper.update(optimizer=dict(lr=2e-4))
