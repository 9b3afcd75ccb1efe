"""Instance segmentation on your own data in COCO format: edit the four paths, nothing else.

Class names and their number come from the annotation file. See docs/custom_coco.md.
"""

from mmengine.config import read_base
from mmengine.optim import CosineAnnealingLR, LinearLR, OptimWrapper
from torch.optim import AdamW

from seg.models.classifiers import LinearClassifier
from seg.models.decoders import ResidualKernelUpdater, SoftMaskMeanPooling
from seg.models.heads import SemanticAuxiliary

with read_base():
    from .._base_.datasets.coco_instance import *
    from .._base_.models.rap_sam_r50 import *
    from ..default_runtime import *

train_annotations = 'data/custom/annotations/train.json'
train_images = 'data/custom/train'
val_annotations = 'data/custom/annotations/val.json'
val_images = 'data/custom/val'

train_dataloader.update(dataset=dict(ann_file=train_annotations, img_dir=train_images))
val_dataloader.update(dataset=dict(ann_file=val_annotations, img_dir=val_images))
test_dataloader = val_dataloader

# What makes the published model hard to train on little data is replaced.
model.update(
    data_preprocessor=dict(pad_size=None),
    neck=dict(
        faithful_init=False,
        norm_features=True,
        context=True,
        norm_cfg=dict(type='GN', num_groups=32),
    ),
    head=dict(
        num_things='from_data',
        num_stuff='from_data',
        embed_channels=256,
        stage=dict(
            updater=dict(type=ResidualKernelUpdater),
            pooling=dict(type=SoftMaskMeanPooling),
            context_attention=True,
            faithful_init=False,
        ),
        object_adapter=dict(
            updater=dict(type=ResidualKernelUpdater), pooling=dict(type=SoftMaskMeanPooling)
        ),
        semantic_auxiliary=dict(type=SemanticAuxiliary),
        task_loss_weights=dict(panoptic=dict(cls=2.0, mask=5.0, dice=5.0, semantic=1.0)),
    ),
)
model['head']['classifier'] = dict(type=LinearClassifier)

train_cfg = dict(by_epoch=False, max_iters=20_000, val_interval=1_000)
val_cfg = dict()
test_cfg = dict()
optim_wrapper = dict(
    type=OptimWrapper,
    optimizer=dict(type=AdamW, lr=1e-4, weight_decay=0.05),
    clip_grad=dict(max_norm=1.0),
    paramwise_cfg=dict(custom_keys={'backbone': dict(lr_mult=0.1)}, norm_decay_mult=0.0),
)
param_scheduler = [
    dict(type=LinearLR, start_factor=0.001, by_epoch=False, begin=0, end=500),
    dict(type=CosineAnnealingLR, by_epoch=False, begin=500, end=20_000, eta_min=1e-6),
]
default_hooks.update(checkpoint=dict(interval=1_000, save_best='coco/segm_mAP'))
