"""SAM's mask decoder on BDD100K, prompted by what a RapSAM of COCO finds: no ground truth.

Evaluates what ``sam_vitb_bdd100k_decoder.py`` trained.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.models.rap_sam_r50 import model as proposer
    from .sam_vitb_bdd100k_decoder import *

from seg.datasets.transforms import PackClip, TestResize
from seg.models.detectors import PanopticPromptedSam

proposer.update(
    backbone=dict(init_cfg=None),
    init_cfg=dict(type='Pretrained', checkpoint='models/rap_sam/rap_sam_r50_12e.pth'),
)
model = dict(
    type=PanopticPromptedSam,
    proposer=proposer,
    class_table='coco_panoptic_to_bdd100k',
    settings=dict(variant='vit_b', strategy=model['strategy'], criterion=model['criterion']),
    init_cfg=model['init_cfg'],
)
del proposer
image_pipeline = [dict(type=TestResize, scale=canvas), dict(type=PackClip)]
val_dataloader.dataset.update(task='panoptic', pipeline=image_pipeline)
test_dataloader.dataset.update(task='panoptic', pipeline=image_pipeline)
val_evaluator.update(regime='auto')
test_evaluator.update(regime='auto')
default_hooks.update(checkpoint=dict(save_best='auto/mIoU'))
