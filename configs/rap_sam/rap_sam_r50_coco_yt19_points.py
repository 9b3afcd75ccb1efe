"""The published training of RapSAM with ResNet-50 on its whole mixture, 155 classes.

The classifier is made by ``tools/gen_cls.py --label-space coco_panoptic+youtube_vis_2019``.
"""

from mmengine.config import read_base

with read_base():
    from .._base_.datasets.coco_yt19_points import *
    from .._base_.models.rap_sam_r50 import *
    from .._base_.schedules.schedule_12e import *
    from ..default_runtime import *

model['head'].update(num_things=102, num_stuff=53)
model['head']['classifier'].update(
    embedding_file='data/embeddings/convnext_large_d_320_coco_panoptic+youtube_vis_2019.safetensors'
)
default_hooks.update(
    checkpoint=dict(interval=14_786, save_best=['panoptic/PQ', 'interactive/mIoU@1'])
)
