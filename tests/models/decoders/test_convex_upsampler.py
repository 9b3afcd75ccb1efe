"""Masks whose cells are divided."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.decoders import ConvexUpsampler


@pytest.mark.parametrize('factor', [2, 3])
def test_a_new_upsampler_is_nearly_bilinear(factor):
    torch.manual_seed(0)
    upsampler = ConvexUpsampler(6, factor=factor)
    masks, features = torch.randn(3, 2, 5, 7), 0.1 * torch.randn(2, 6, 5, 7)
    with torch.no_grad():
        finer = upsampler(masks, upsampler.weights(features))
    expected = F.interpolate(masks, scale_factor=factor, mode='bilinear', align_corners=False)

    assert finer.shape == (3, 2, 5 * factor, 7 * factor)
    assert (finer - expected).abs().mean() < 0.15 * expected.abs().mean()


def test_parts_choose_among_the_cells_around_theirs():
    masks = torch.arange(12.0).view(1, 1, 3, 4)
    weights = torch.zeros(1, 4, 9, 3, 4)
    chosen = [0, 2, 4, 7]  # of the parts: up and left, up and right, the cell itself, down
    for part, cell in enumerate(chosen):
        weights[:, part, cell] = 1
    finer = ConvexUpsampler(2)(masks, weights)[0, 0]

    # The cell in row 1, column 2 has the value 6.
    assert finer[2:4, 4:6].tolist() == [[1.0, 3.0], [6.0, 10.0]]
    assert finer[0, 0] == 0, 'outside the picture lies what is at its border'


def test_weights_add_up_to_one_and_learn():
    torch.manual_seed(0)
    upsampler = ConvexUpsampler(6)
    features = torch.randn(2, 6, 5, 7, requires_grad=True)
    weights = upsampler.weights(features)
    upsampler(torch.randn(3, 2, 5, 7), weights).square().sum().backward()

    torch.testing.assert_close(weights.sum(dim=2), torch.ones(2, 4, 5, 7))
    assert features.grad.abs().sum() > 0
    assert all(parameter.grad.abs().sum() > 0 for parameter in upsampler.parameters())


def test_every_clip_has_its_own_weights():
    torch.manual_seed(0)
    upsampler = ConvexUpsampler(6)
    masks, features = torch.randn(3, 2, 5, 7), torch.randn(2, 2, 6, 5, 7)
    first, second = upsampler.on(features)

    torch.testing.assert_close(second(masks), upsampler(masks, upsampler.weights(features[1])))
    assert not first(masks).equal(second(masks))


def test_no_masks_have_a_gradient():
    upsampler, masks = ConvexUpsampler(6), torch.zeros(0, 1, 5, 7, requires_grad=True)
    finer = upsampler(masks, upsampler.weights(torch.randn(1, 6, 5, 7)))
    finer.sum().backward()

    assert finer.shape == (0, 1, 10, 14)
    assert upsampler.feat_conv.weight.grad is not None


def test_a_factor_that_divides_nothing():
    with pytest.raises(ValueError, match=r'ConvexUpsampler.factor: expected 2 or more, got 1'):
        ConvexUpsampler(6, factor=1)
