"""The published RapSAM with ResNet-50: widths, arithmetic and initialisation as in the paper."""

from mmdet.models.backbones import ResNet

from seg.models.classifiers import TextEmbeddingClassifier
from seg.models.data_preprocessors import ClipPreprocessor
from seg.models.decoders import (
    DecoderStage,
    HardMaskSumPooling,
    KernelUpdater,
    ObjectAdapter,
    PromptAdapter,
)
from seg.models.detectors import RapSAM
from seg.models.heads import PanopticFusion, RapSAMVideoHead
from seg.models.losses import PointSampling, SegmentCriterion
from seg.models.necks import YOSONeck
from seg.models.prompts import PromptEncoder, PromptFusion

model = dict(
    type=RapSAM,
    data_preprocessor=dict(type=ClipPreprocessor, pad_divisor=32, pad_size=(736, 1280)),
    backbone=dict(
        type=ResNet,
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type='BN'),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50'),
    ),
    neck=dict(
        type=YOSONeck,
        in_channels=(256, 512, 1024, 2048),
        agg_channels=128,
        feat_channels=256,
        norm_cfg=dict(type='BN'),
        faithful_init=True,
    ),
    head=dict(
        type=RapSAMVideoHead,
        num_things=80,
        num_stuff=53,
        feat_channels=256,
        num_queries=100,
        num_stages=3,
        embed_channels=768,
        stage=dict(
            type=DecoderStage,
            updater=dict(type=KernelUpdater),
            pooling=dict(type=HardMaskSumPooling),
            num_heads=8,
            ffn_channels=2048,
            faithful_init=True,
        ),
        object_adapter=dict(
            type=ObjectAdapter,
            updater=dict(type=KernelUpdater),
            pooling=dict(type=HardMaskSumPooling),
        ),
        prompt_adapter=dict(type=PromptAdapter, num_heads=8),
        prompt_encoder=dict(
            type=PromptEncoder,
            num_mask_tokens=1,
            click_radius=3.0,
            fusion=dict(type=PromptFusion, num_heads=8),
            # All that the published model was trained for; `None` is every kind.
            prompt_kinds=('click',),
        ),
        classifier=dict(
            type=TextEmbeddingClassifier,
            temperature=0.1,
            embedding_file='data/embeddings/convnext_large_d_320_coco_panoptic.safetensors',
        ),
        criterion=dict(type=SegmentCriterion, sampling=dict(type=PointSampling, num_points=12544)),
        fusion=dict(type=PanopticFusion, object_mask_thr=0.8, iou_thr=0.8),
        # As published: prompted queries learn no classes.
        task_loss_weights=dict(
            panoptic=dict(cls=2.0, mask=5.0, dice=5.0),
            interactive_image=dict(mask=5.0, dice=5.0, iou=10.0),
        ),
    ),
)
