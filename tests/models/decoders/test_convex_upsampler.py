"""Masks whose cells are divided."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.decoders import ConvexUpsampler, FrameSharpener
from seg.utils.devices import as_if_ahead


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


@pytest.mark.parametrize(
    ('rows', 'columns', 'has_outline'),
    [
        ((5, 9), (7, 12), True),
        ((12, 20), (33, 38), True),
        ((0, 2), (41, 43), True),
        ((0, 29), (0, 43), False),
        ((4, 4), (4, 4), False),
    ],
)
@pytest.mark.parametrize('factor', [2, 3])
def test_masks_are_divided_where_their_outlines_are(rows, columns, has_outline, factor):
    upsampler, features = sharp_upsampler(factor), torch.randn(2, 6, 29, 43)
    logits = -torch.rand(3, 2, 29, 43) - 0.01
    logits[1, :, slice(*rows), slice(*columns)] += 2
    whole, near, seen = divided_both_ways(upsampler, features, logits)

    assert near.shape == whole.shape
    assert near.gt(0).equal(whole.gt(0))
    close = outlines(logits, factor)
    assert bool(close.any()) == has_outline
    torch.testing.assert_close(near[close], whole[close])
    # A few numbers of tiles occur, as processors prepare themselves for each.
    assert seen == ([16, 16] if has_outline else []), 'of 24 tiles of each frame'
    for size in ((58, 86), (81, 177), (17, 22)):  # and so of masks at any size
        pictures = [resized(fine, size) > 0 for fine in (near, whole)]
        assert pictures[0].equal(pictures[1])


def test_masks_that_overlap_are_divided_everywhere():
    upsampler, features = sharp_upsampler(2), torch.randn(1, 6, 104, 72)
    logits = torch.randn(3, 1, 104, 72)
    logits[:2, :, :24, :24] = logits[:2, :, :24, :24].abs() + 0.1
    logits[2] = -logits[2].abs() - 0.1
    logits[:2, :, 32:] = -logits[:2, :, 32:].abs() - 0.1
    whole, near, seen = divided_both_ways(upsampler, features, logits)

    torch.testing.assert_close(near[:2, :, :48, :48], whole[:2, :, :48, :48])
    assert seen == [48], '9 columns and 5 rows of tiles, of 13, in steps of 16'
    for size in ((208, 144), (160, 177)):
        best = [resized(fine, size)[:, 0].amax(dim=0).clamp(min=0) for fine in (near, whole)]
        torch.testing.assert_close(*best)


def test_masks_with_outlines_all_over_are_divided_at_once():
    upsampler, features = sharp_upsampler(2), torch.randn(1, 6, 32, 40)
    whole, near, seen = divided_both_ways(upsampler, features, torch.randn(2, 1, 32, 40))

    assert near.equal(whole)
    assert not seen


def sharp_upsampler(factor: int) -> ConvexUpsampler:
    torch.manual_seed(0)
    upsampler = ConvexUpsampler(6, factor=factor)
    with torch.no_grad():
        upsampler.weight_conv.weight.normal_(std=0.5)
    return upsampler


def divided_both_ways(upsampler, features, logits):
    """Masks divided everywhere, those divided where it counts, and the tiles of each frame."""
    seen, of_tiles = [], upsampler.of_tiles

    def counted(masks, frame, cut):
        seen.append(len(cut.pixels))
        return of_tiles(masks, frame, cut)

    upsampler.of_tiles = counted
    whole = FrameSharpener(upsampler, features)(logits)
    near = FrameSharpener(upsampler, features).near_outlines(logits)
    return whole, near, seen


def outlines(logits, factor):
    """Parts of cells that have others of the other sign beside them, (N, T, h, w), bool."""
    inside = (logits > 0).float()
    is_near = F.max_pool2d(inside, 3, 1, 1) != -F.max_pool2d(-inside, 3, 1, 1)
    return is_near.repeat_interleave(factor, 2).repeat_interleave(factor, 3)


def resized(masks, size):
    return F.interpolate(masks, size=size, mode='bilinear', align_corners=False)


def test_weights_that_are_known_are_used_again():
    upsampler, features = ConvexUpsampler(6), torch.randn(1, 6, 5, 7)
    sharpener, logits = FrameSharpener(upsampler, features), torch.randn(2, 1, 5, 7)
    whole, calls = sharpener(logits), []
    upsampler.weights = calls.append

    assert sharpener(logits).equal(whole)
    assert sharpener.near_outlines(logits).equal(whole)
    assert not calls


def test_a_device_that_runs_ahead_is_not_asked_where_masks_are():
    upsampler, features = ConvexUpsampler(6), torch.randn(1, 6, 25, 27)
    logits = torch.full((1, 1, 25, 27), -1.0)
    logits[0, 0, 0, 0] = 1
    whole = FrameSharpener(upsampler, features)(logits)
    with as_if_ahead():
        near = FrameSharpener(upsampler, features).near_outlines(logits)

    assert near.equal(whole)
    assert not FrameSharpener(upsampler, features).near_outlines(logits).equal(whole)
