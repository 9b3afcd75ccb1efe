"""Losses of masks on points."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.losses import bce_loss, dice_loss, mask_iou, sample_points, uncertain_points


def test_points_at_pixel_centres_read_the_pixels():
    maps = torch.arange(12.0).view(1, 3, 4)
    coords = torch.tensor([[[0.5 / 4, 0.5 / 3], [3.5 / 4, 1.5 / 3]]])

    torch.testing.assert_close(sample_points(maps, coords), torch.tensor([[0.0, 7.0]]))


def test_points_between_pixels_are_bilinear():
    maps = torch.tensor([[[0.0, 2.0], [4.0, 6.0]]])

    assert sample_points(maps, torch.tensor([[[0.5, 0.5]]])).item() == pytest.approx(3.0)


def test_published_number_of_points(monkeypatch):
    drawn = []
    real = torch.rand

    def counting(*shape, **options):
        drawn.append(shape[1])
        return real(*shape, **options)

    monkeypatch.setattr(torch, 'rand', counting)
    coords = uncertain_points(torch.randn(1, 16, 16), 12544, 3.0, 0.75)

    assert drawn == [37632, 12544 - 9408]
    assert coords.shape == (1, 12544, 2)


def test_points_concentrate_where_the_mask_is_undecided():
    logits = torch.full((1, 32, 32), 10.0)
    logits[..., 16] = 0.0
    coords = uncertain_points(logits, 400, 3.0, 0.75)
    near = ((coords[0, :, 0] * 32 - 16.5).abs() < 1.5).float().mean()

    # A band of three columns in 32 holds 9 % of uniform points.
    assert near > 0.18
    assert coords.min() >= 0
    assert coords.max() <= 1


def test_points_of_no_mask():
    assert uncertain_points(torch.zeros(0, 8, 8), 16, 3.0, 0.75).shape == (0, 16, 2)


def test_cross_entropy_is_a_mean_over_points():
    logits, targets = torch.randn(3, 7), (torch.rand(3, 7) > 0.5).float()
    expected = torch.stack(
        [
            F.binary_cross_entropy_with_logits(logit, t)
            for logit, t in zip(logits, targets, strict=True)
        ]
    )

    torch.testing.assert_close(bce_loss(logits, targets), expected)


def test_dice_by_hand():
    logits = torch.tensor([[0.0, 0.0, 0.0, 0.0]])  # probability one half
    targets = torch.tensor([[1.0, 1.0, 0.0, 0.0]])

    assert dice_loss(logits, targets).item() == pytest.approx(1 - (2 * 1 + 1) / (2 + 2 + 1))


def test_dice_of_a_perfect_and_of_an_empty_mask_is_zero():
    targets = torch.tensor([[1.0, 0.0, 1.0], [0.0, 0.0, 0.0]])

    torch.testing.assert_close(dice_loss(200 * targets - 100, targets), torch.zeros(2))


def test_iou_by_hand_over_all_frames():
    logits = torch.full((1, 2, 2, 2), -1.0)
    logits[0, 0] = 1.0  # 4 of the 4 pixels of frame 0
    masks = torch.zeros(1, 2, 2, 2, dtype=torch.bool)
    masks[0, :, 0] = True  # 2 pixels of each frame

    assert mask_iou(logits, masks).item() == pytest.approx(2 / 6)


def test_iou_enlarges_the_logits_to_the_mask():
    logits = torch.tensor([[[[5.0, -5.0]]]])
    masks = torch.zeros(1, 1, 4, 8, dtype=torch.bool)
    masks[..., :4] = True

    assert mask_iou(logits, masks).item() == 1.0


def test_iou_of_nothing_with_nothing_is_zero_and_of_no_mask_empty():
    assert mask_iou(torch.full((1, 1, 2, 2), -1.0), torch.zeros(1, 1, 2, 2).bool()).item() == 0.0
    assert mask_iou(torch.zeros(0, 1, 2, 2), torch.zeros(0, 1, 4, 4).bool()).shape == (0,)


def test_iou_carries_no_gradient():
    logits = torch.randn(1, 1, 4, 4, requires_grad=True)

    assert not mask_iou(logits, torch.ones(1, 1, 4, 4).bool()).requires_grad
