"""SAM with 19 learned class tokens on BDD100K: semantic segmentation from images alone."""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.bdd100k_prompts import *
    from .._base_.schedules.sam_finetune import *
    from ..default_runtime import *

from seg.datasets.transforms import ClipColorJitter, ClipFlip, ClipResize, PackClip, TestResize
from seg.engine.hooks import TrainedWeightsHook
from seg.models.detectors import SamSemanticSegmentor
from seg.models.peft import TrainDecoder

model = dict(
    type=SamSemanticSegmentor,
    num_classes=19,
    settings=dict(variant='vit_b', strategy=dict(type=TrainDecoder, prompt_encoder=False)),
    init_cfg=dict(type='Pretrained', checkpoint='models/sam/sam_vit_b_01ec64.pth'),
)
train_dataloader.dataset.update(
    task='panoptic',
    pipeline=[
        dict(type=ClipFlip, prob=0.5),
        dict(type=ClipColorJitter, brightness=0.2, contrast=0.2, saturation=0.2),
        dict(type=ClipResize, scale=canvas),
        dict(type=PackClip),
    ],
)
image_pipeline = [dict(type=TestResize, scale=canvas), dict(type=PackClip)]
val_dataloader.dataset.update(task='panoptic', pipeline=image_pipeline)
test_dataloader.dataset.update(task='panoptic', pipeline=image_pipeline)
val_evaluator.update(regime='auto')
test_evaluator.update(regime='auto')
default_hooks.update(checkpoint=dict(interval=500, save_best='auto/mIoU'))
custom_hooks = [dict(type=TrainedWeightsHook)]
