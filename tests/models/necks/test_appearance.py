"""Colours beside the mask features."""

import pytest
import torch

from seg.models.necks import AppearanceSkip


def test_a_new_skip_changes_nothing():
    feats = torch.randn(2, 8, 4, 5)

    assert torch.equal(AppearanceSkip(8)(torch.randn(2, 3, 16, 20), feats), feats)


def test_it_adds_the_mean_colour_of_each_cell():
    skip = AppearanceSkip(8)
    torch.nn.init.eye_(skip.color_conv.weight[:, :, 0, 0])
    images = torch.zeros(1, 3, 16, 20)
    images[0, 1, 4:8, :2] = 1.0
    feats = torch.randn(1, 8, 4, 5)
    added = skip(images, feats) - feats

    expected = torch.zeros_like(feats)
    expected[0, 1, 1, 0] = 0.5
    torch.testing.assert_close(added, expected, atol=1e-6, rtol=0)


def test_a_grid_adds_the_colours_within_each_cell():
    skip = AppearanceSkip(8, grid=2)
    images, feats = torch.rand(1, 3, 16, 20), torch.randn(1, 8, 4, 5)
    assert torch.equal(skip(images, feats), feats), 'a new one changes nothing'
    torch.nn.init.zeros_(skip.grid_conv.weight)
    with torch.no_grad():
        skip.grid_conv.weight[5, 4 * 1 + 2 * 1 + 0] = 1.0  # green, below, left
    added = skip(images, feats) - feats

    expected = torch.zeros_like(feats)
    expected[:, 5] = torch.nn.functional.avg_pool2d(images[:, 1], 2)[:, 1::2, ::2]
    torch.testing.assert_close(added, expected, atol=1e-6, rtol=0)
    with pytest.raises(ValueError, match=r'AppearanceSkip\.grid: expected 0 or more, got -2'):
        AppearanceSkip(8, grid=-2)


def test_a_gain_lets_colours_be_seen_from_the_start():
    torch.manual_seed(0)
    skip = AppearanceSkip(64, gain=0.3)

    assert 0.25 < float(skip.color_conv.weight.std()) < 0.35
    with pytest.raises(ValueError, match=r'AppearanceSkip\.gain: expected 0 or more, got -1'):
        AppearanceSkip(8, gain=-1)
