"""Panoptic, first-frame masks, and words on images, on four data sets with ResNet-50: 153 classes.

The classifier is made by ``tools/gen_cls.py --label-space coco_panoptic+youtube_vis_2021``.
"""

from mmengine.config import read_base

with read_base():
    from .rap_sam_r50_joint import *

    # After it, as its data take the place of the others.
    from .._base_.datasets.coco_yt21_davis_ref import *

model['head'].update(num_things=100, num_stuff=53)
model['head']['classifier'].update(
    embedding_file='data/embeddings/convnext_large_d_320_coco_panoptic+youtube_vis_2021.safetensors'
)
default_hooks.update(
    checkpoint=dict(save_best=['panoptic/PQ', 'interactive/text_gIoU', 'davis/J&F'])
)
