"""Stage 1 at full size: ResNet-50 and its neck learn to see SA-1B as SAM ViT-B does."""

from mmengine.config import read_base

from seg.engine.hooks import SteeringHook
from seg.models.detectors import Distiller, FeatureEmbedder, SamSegmentor
from seg.models.losses import ProjectedEmbeddingDistillation

with read_base():
    from ..._base_.datasets.sa1b import *
    from ..._base_.models.rap_sam_r50 import *
    from ..._base_.schedules.schedule_12e import *
    from ...default_runtime import *

model = dict(
    type=Distiller,
    student=dict(
        type=FeatureEmbedder,
        backbone=model['backbone'],
        neck=model['neck'],
        data_preprocessor=model['data_preprocessor'],
    ),
    teacher=dict(
        type=SamSegmentor,
        variant='vit_b',
        init_cfg=dict(type='Pretrained', checkpoint='models/sam/sam_vit_b_01ec64.pth'),
    ),
    parts=[dict(type=ProjectedEmbeddingDistillation)],
    resize_for_teacher=True,
)
val_dataloader, val_cfg, val_evaluator = None, None, None
test_dataloader, test_cfg, test_evaluator = None, None, None
train_cfg = dict(by_epoch=False, max_iters=12 * 14_786)
default_hooks.update(checkpoint=dict(interval=14_786))
custom_hooks = [dict(type=SteeringHook)]
