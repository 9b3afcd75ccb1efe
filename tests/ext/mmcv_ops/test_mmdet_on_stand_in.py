import pytest
import torch
from torch import nn

import seg.registry  # noqa: F401  (puts the stand-in in place)

from mmdet.registry import MODELS  # isort: skip
from mmdet.structures import DetDataSample  # isort: skip
from mmdet.structures.mask import BitmapMasks  # isort: skip
from mmdet.utils import register_all_modules  # isort: skip
from mmengine.config import ConfigDict  # isort: skip
from mmengine.registry import DefaultScope  # isort: skip
from mmengine.structures import InstanceData, PixelData  # isort: skip

NUM_THINGS, NUM_STUFF, CHANNELS, SIZE = 3, 2, 16, 64


def mask2former_config():
    """mmdet's Mask2Former with everything that has a width made narrow."""
    attention = dict(embed_dims=CHANNELS, num_heads=2, batch_first=True)
    feedforward = dict(embed_dims=CHANNELS, feedforward_channels=16, num_fcs=2)
    pixel_layer = dict(
        self_attn_cfg=dict(
            embed_dims=CHANNELS, num_heads=2, num_levels=3, num_points=2, batch_first=True
        ),
        ffn_cfg=feedforward,
    )
    costs = [dict(type='ClassificationCost', weight=2.0), dict(type='DiceCost', weight=5.0)]
    head = dict(
        type='Mask2FormerHead',
        in_channels=[64, 128, 256, 512],
        feat_channels=CHANNELS,
        out_channels=CHANNELS,
        strides=[4, 8, 16, 32],
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        num_queries=6,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type='MSDeformAttnPixelDecoder',
            num_outs=3,
            norm_cfg=dict(type='GN', num_groups=4),
            act_cfg=dict(type='ReLU'),
            encoder=dict(num_layers=1, layer_cfg=pixel_layer),
            positional_encoding=dict(num_feats=CHANNELS // 2, normalize=True),
        ),
        positional_encoding=dict(num_feats=CHANNELS // 2, normalize=True),
        transformer_decoder=dict(
            num_layers=3,
            return_intermediate=True,
            layer_cfg=dict(self_attn_cfg=attention, cross_attn_cfg=attention, ffn_cfg=feedforward),
            init_cfg=None,
        ),
        loss_cls=dict(
            type='CrossEntropyLoss', class_weight=[1.0] * (NUM_THINGS + NUM_STUFF) + [0.1]
        ),
        loss_mask=dict(type='CrossEntropyLoss', use_sigmoid=True),
        loss_dice=dict(type='DiceLoss', use_sigmoid=True, activate=True, naive_dice=True, eps=1.0),
    )
    fusion = dict(
        type='MaskFormerFusionHead',
        num_things_classes=NUM_THINGS,
        num_stuff_classes=NUM_STUFF,
        loss_panoptic=None,
        init_cfg=None,
    )
    return dict(
        type='Mask2Former',
        data_preprocessor=dict(type='DetDataPreprocessor', mean=[0.0] * 3, std=[255.0] * 3),
        backbone=dict(type='ResNet', depth=18, norm_cfg=dict(type='BN'), norm_eval=False),
        panoptic_head=head,
        panoptic_fusion_head=fusion,
        train_cfg=dict(
            num_points=64,
            oversample_ratio=3.0,
            importance_sample_ratio=0.75,
            assigner=dict(type='HungarianAssigner', match_costs=costs),
            sampler=dict(type='MaskPseudoSampler'),
        ),
        test_cfg=dict(
            panoptic_on=True, semantic_on=False, instance_on=True, max_per_image=5, iou_thr=0.8
        ),
    )


def batch():
    """One image: a thing in the upper left quarter on a stuff background (mmdet's own layout)."""
    sample = DetDataSample(metainfo=dict(img_shape=(SIZE, SIZE), ori_shape=(SIZE, SIZE)))
    sample.set_metainfo(dict(batch_input_shape=(SIZE, SIZE), pad_shape=(SIZE, SIZE)))
    masks = torch.zeros(1, SIZE, SIZE, dtype=torch.uint8)
    masks[0, : SIZE // 2, : SIZE // 2] = 1
    sample.gt_instances = InstanceData(
        labels=torch.tensor([1]), masks=BitmapMasks(masks.numpy(), SIZE, SIZE)
    )
    semantic = torch.full((1, SIZE, SIZE), NUM_THINGS, dtype=torch.int64)
    sample.gt_sem_seg = PixelData(sem_seg=semantic)
    image = torch.randint(0, 255, (3, SIZE, SIZE), dtype=torch.uint8)
    return dict(inputs=[image], data_samples=[sample])


def test_every_registered_mmdet_model_imports():
    register_all_modules(init_default_scope=False)
    modules = MODELS.module_dict
    assert len(modules) >= 270
    assert {'Mask2Former', 'MaskRCNN', 'DeformableDETR', 'ResNet', 'FCNMaskHead'} <= set(modules)


@pytest.fixture(scope='module')
def model() -> nn.Module:
    register_all_modules(init_default_scope=False)
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope('mmdet'):
        model = MODELS.build(ConfigDict(mask2former_config()))
        model.init_weights()
    return model


def test_mask2former_takes_a_training_step(model):
    data = model.data_preprocessor(batch(), training=True)
    losses = model(**data, mode='loss')
    total = sum(loss for name, loss in losses.items() if 'loss' in name)
    total.backward()
    assert torch.isfinite(total)
    without = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not [name for name in without if 'backbone' not in name]


def test_mask2former_predicts_a_panoptic_map(model):
    data = model.eval().data_preprocessor(batch(), training=False)
    with torch.no_grad():
        (result,) = model(**data, mode='predict')
    assert result.pred_panoptic_seg.sem_seg.shape == (1, SIZE, SIZE)
