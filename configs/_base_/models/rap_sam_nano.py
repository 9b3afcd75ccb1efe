"""RapSAM for small pictures and two CPU cores, trained from scratch: under 6 M parameters.

The structure is the published one; what makes that hard to train from scratch is replaced:
masks are pooled as soft means, queries keep a residual and read coarse context, the classifier
is linear, a dense auxiliary loss teaches the features, and a small network over the clicks, the
colours and the mask mends what a product of query and features cannot draw.
"""

from mmdet.models.backbones import ResNet

from seg.models.classifiers import LinearClassifier
from seg.models.data_preprocessors import ClipPreprocessor
from seg.models.decoders import (
    ConvexUpsampler,
    DecoderStage,
    MaskShapeEncoder,
    ObjectAdapter,
    PromptAdapter,
    ResidualKernelUpdater,
    SoftMaskMeanPooling,
)
from seg.models.detectors import RapSAM
from seg.models.heads import PanopticFusion, RapSAMVideoHead, SemanticAuxiliary
from seg.models.losses import GridSampling, SegmentCriterion
from seg.models.necks import AppearanceSkip, ConvUpBlock, YOSONeck
from seg.models.prompts import MaskRefiner, PromptEncoder

model = dict(
    type=RapSAM,
    data_preprocessor=dict(type=ClipPreprocessor, pad_divisor=32),
    backbone=dict(
        type=ResNet,
        depth=18,
        base_channels=32,
        stem_channels=32,
        deep_stem=True,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN'),
        norm_eval=False,
        zero_init_residual=False,
        style='pytorch',
    ),
    neck=dict(
        type=YOSONeck,
        in_channels=(32, 64, 128, 256),
        lateral_channels=(64, 64, 96, 96),
        agg_channels=96,
        feat_channels=96,
        up_block=dict(type=ConvUpBlock),
        norm_features=True,
        context=True,
        norm_cfg=dict(type='GN', num_groups=8),
    ),
    appearance=dict(type=AppearanceSkip, feat_channels=96, gain=0.3, grid=4),
    head=dict(
        type=RapSAMVideoHead,
        num_things=8,
        num_stuff=3,
        feat_channels=96,
        num_queries=32,
        num_stages=3,
        embed_channels=96,
        stage=dict(
            type=DecoderStage,
            updater=dict(type=ResidualKernelUpdater),
            pooling=dict(type=SoftMaskMeanPooling),
            num_heads=8,
            ffn_channels=384,
            context_attention=True,
            shape_encoder=dict(type=MaskShapeEncoder),
        ),
        object_adapter=dict(
            type=ObjectAdapter,
            updater=dict(type=ResidualKernelUpdater),
            pooling=dict(type=SoftMaskMeanPooling),
            shape_encoder=dict(type=MaskShapeEncoder),
        ),
        prompt_adapter=dict(type=PromptAdapter, num_heads=8),
        prompt_encoder=dict(
            type=PromptEncoder, click_radius=0.0, seed_from_features=True, window_radius=2.0
        ),
        prompt_refiner=dict(type=MaskRefiner, hidden_channels=24, dilations=(1, 2, 4)),
        mask_upsampler=dict(type=ConvexUpsampler),
        classifier=dict(type=LinearClassifier),
        semantic_auxiliary=dict(type=SemanticAuxiliary, balance=0.0),
        criterion=dict(type=SegmentCriterion, sampling=dict(type=GridSampling)),
        fusion=dict(type=PanopticFusion, object_mask_thr=0.5, iou_thr=0.7),
        task_loss_weights=dict(
            panoptic=dict(cls=4.0, mask=4.0, dice=4.0, semantic=16.0),
            interactive_image=dict(cls=2.0, mask=4.0, dice=4.0, iou=1.0, semantic=8.0),
        ),
    ),
)
