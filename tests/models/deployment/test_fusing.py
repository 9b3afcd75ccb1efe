"""Folding normalisations changes nothing but rounding."""

import pytest
import torch
from torch import nn

from seg.models.deployment import fuse
from seg.models.necks import ConvUpBlock, DeformUpBlock
from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_rapsam_cfg


def with_statistics(model):
    """A model whose normalisations have statistics and weights of their own."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.normal_(module.running_mean, std=0.2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
    model.eval()
    return model


def norms(model):
    return [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.no_grad()
def test_a_whole_model_predicts_the_same():
    model = with_statistics(MODELS.build(tiny_rapsam_cfg()))
    inputs = torch.randn(1, 1, 3, 64, 96)
    before = model(inputs, mode='tensor')[-1]

    after = fuse(model)(inputs, mode='tensor')[-1]

    assert not norms(model)
    torch.testing.assert_close(after.mask_logits, before.mask_logits, atol=2e-4, rtol=1e-4)
    torch.testing.assert_close(after.class_logits, before.class_logits, atol=2e-4, rtol=1e-4)


@pytest.mark.parametrize('depth', [18, 50])
@pytest.mark.parametrize('deep_stem', [False, True])
@torch.no_grad()
def test_every_normalisation_of_a_resnet_is_folded(depth, deep_stem):
    config = dict(type='mmdet.ResNet', depth=depth, base_channels=4, deep_stem=deep_stem)
    model = with_statistics(MODELS.build({**config, 'stem_channels': 8}))
    x = torch.randn(1, 3, 64, 64)
    before = model(x)

    after = fuse(model)(x)

    assert not norms(model)
    for one, other in zip(after, before, strict=True):
        torch.testing.assert_close(one, other, atol=1e-3, rtol=1e-4)


@pytest.mark.parametrize('block', [ConvUpBlock, DeformUpBlock])
@torch.no_grad()
def test_blocks_of_the_neck(block):
    model = with_statistics(block(6, 4, norm_cfg=dict(type='BN')))
    x = torch.randn(2, 6, 5, 7)
    before = model(x)

    assert not norms(fuse(model))
    torch.testing.assert_close(model(x), before, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_normalisations_that_come_first_stay():
    model = nn.Sequential(nn.BatchNorm2d(3), nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4))
    x = torch.randn(2, 3, 5, 5)
    before = with_statistics(model)(x)

    assert len(norms(fuse(model))) == 2
    torch.testing.assert_close(model(x), before)


def test_a_fused_model_wants_no_gradients_and_evaluates():
    model = fuse(nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)).train())

    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
