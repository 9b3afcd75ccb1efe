"""EfficientSAM-Ti on circuit boards, taught by a fine-tuned S; both image encoders are frozen."""

from mmengine.config import read_base

with read_base():
    from .efficient_sam_ti_pcb_standard import *

from seg.engine.hooks import SteeringHook
from seg.models.detectors import Distiller, EfficientSamSegmentor
from seg.models.losses import (
    DecoderAttentionDistillation,
    DecoderFeatureDistillation,
    DistillationSchedule,
    DynamicWeightAverage,
    MaskDistillation,
)

student = model
student['criterion'].update(balancer=dict(type=DynamicWeightAverage, period=250))
teacher = dict(
    type=EfficientSamSegmentor,
    variant='vits',
    init_cfg=dict(type='Pretrained', checkpoint='work_dirs/efficient_sam_s_pcb_standard/best.pth'),
)
model = dict(
    type=Distiller,
    student=student,
    teacher=teacher,
    parts=[
        dict(type=MaskDistillation, min_teacher_iou=0.5),
        dict(type=DecoderFeatureDistillation),
        dict(type=DecoderAttentionDistillation),
    ],
    schedule=dict(type=DistillationSchedule, mode='increase'),
)
del student, teacher
custom_hooks = [dict(type=SteeringHook)]
