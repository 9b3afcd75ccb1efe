"""MMDetection's Mask2Former with backbone, data, image size and CPU minutes of the small RapSAM.

Six layers in the encoder and nine in the decoder as published, as wide as the RapSAM beside it,
with its number of queries. Published rates are for a pretrained backbone; from scratch the ones
here are larger. ``tools/analysis_tools/compare_peer.py`` trains and scores both.
"""

from mmdet.models.dense_heads import Mask2FormerHead
from mmdet.models.detectors import Mask2Former
from mmdet.models.layers import MSDeformAttnPixelDecoder
from mmdet.models.losses import CrossEntropyLoss, DiceLoss
from mmdet.models.seg_heads import MaskFormerFusionHead
from mmdet.models.task_modules import (
    ClassificationCost,
    CrossEntropyLossCost,
    DiceCost,
    HungarianAssigner,
    MaskPseudoSampler,
)
from mmengine.config import read_base
from torch.nn import ReLU

from seg.models.detectors import MMDetPanoptic

with read_base():
    from .rap_sam_nano_shapes import *

width = 96
attention = dict(embed_dims=width, num_heads=8, batch_first=True)
feedforward = dict(
    embed_dims=width,
    feedforward_channels=4 * width,
    num_fcs=2,
    ffn_drop=0.0,
    act_cfg=dict(type=ReLU, inplace=True),
)
positions = dict(num_feats=width // 2, normalize=True)

model = dict(
    type=MMDetPanoptic,
    data_preprocessor=model['data_preprocessor'],
    detector=dict(
        type=Mask2Former,
        backbone=model['backbone'],
        panoptic_head=dict(
            type=Mask2FormerHead,
            in_channels=[32, 64, 128, 256],
            strides=[4, 8, 16, 32],
            feat_channels=width,
            out_channels=width,
            num_things_classes=8,
            num_stuff_classes=3,
            num_queries=32,
            num_transformer_feat_level=3,
            pixel_decoder=dict(
                type=MSDeformAttnPixelDecoder,
                num_outs=3,
                norm_cfg=dict(type='GN', num_groups=32),
                act_cfg=dict(type=ReLU),
                encoder=dict(
                    num_layers=6,
                    layer_cfg=dict(
                        self_attn_cfg=dict(attention, num_levels=3, num_points=4, dropout=0.0),
                        ffn_cfg=feedforward,
                    ),
                ),
                positional_encoding=positions,
            ),
            positional_encoding=positions,
            transformer_decoder=dict(
                return_intermediate=True,
                num_layers=9,
                layer_cfg=dict(
                    self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feedforward
                ),
                init_cfg=None,
            ),
            loss_cls=dict(type=CrossEntropyLoss, loss_weight=2.0, class_weight=[1.0] * 11 + [0.1]),
            loss_mask=dict(type=CrossEntropyLoss, use_sigmoid=True, loss_weight=5.0),
            loss_dice=dict(
                type=DiceLoss,
                use_sigmoid=True,
                activate=True,
                naive_dice=True,
                eps=1.0,
                loss_weight=5.0,
            ),
        ),
        panoptic_fusion_head=dict(
            type=MaskFormerFusionHead, num_things_classes=8, num_stuff_classes=3
        ),
        train_cfg=dict(
            num_points=1280,  # cells of a mask
            oversample_ratio=3.0,
            importance_sample_ratio=0.75,
            assigner=dict(
                type=HungarianAssigner,
                match_costs=[
                    dict(type=ClassificationCost, weight=2.0),
                    dict(type=CrossEntropyLossCost, weight=5.0, use_sigmoid=True),
                    dict(type=DiceCost, weight=5.0, pred_act=True, eps=1.0),
                ],
            ),
            sampler=dict(type=MaskPseudoSampler),
        ),
        # The thresholds of the RapSAM beside it.
        test_cfg=dict(
            panoptic_on=True,
            semantic_on=False,
            instance_on=False,
            object_mask_thr=0.5,
            iou_thr=0.7,
            filter_low_score=True,
        ),
    ),
)
optim_wrapper['optimizer'].update(lr=5e-4)
optim_wrapper.update(clip_grad=dict(max_norm=1.0))
# As published, no decay of what is no weight of a layer.
no_decay = dict(decay_mult=0.0)
optim_wrapper['paramwise_cfg'].update(
    custom_keys=dict(query_embed=no_decay, query_feat=no_decay, level_embed=no_decay)
)
del width, attention, feedforward, positions, no_decay
