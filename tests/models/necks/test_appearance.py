"""Colours beside the mask features."""

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
