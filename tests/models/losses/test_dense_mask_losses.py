import math

import pytest
import torch

from seg.models.losses import (
    BoundaryBandLoss,
    EdgeWeightedBCELoss,
    MaskBCELoss,
    MaskDiceLoss,
    MaskFocalLoss,
    MaskSoftIoULoss,
    SignedDistanceLoss,
)
from seg.models.losses.dense_mask_losses import signed_distance
from seg.utils.checks import UserError

LOSSES = [
    MaskBCELoss(),
    MaskDiceLoss(),
    MaskFocalLoss(),
    MaskSoftIoULoss(),
    BoundaryBandLoss(),
    SignedDistanceLoss(),
    EdgeWeightedBCELoss(),
]
by_name = pytest.mark.parametrize('loss', LOSSES, ids=lambda loss: loss.name)


def square():
    target = torch.zeros(1, 16, 16)
    target[:, 4:12, 5:13] = 1
    return target


@by_name
def test_the_right_mask_has_the_smallest_loss(loss):
    target, weights = square(), torch.ones(1, 16, 16)
    right = loss(20 * target - 10, target, weights)
    shifted = loss(20 * target.roll(2, -1) - 10, target, weights)
    elsewhere = loss(20 * target.roll(8, -1) - 10, target, weights)

    assert right < shifted < elsewhere


@by_name
def test_cells_without_weight_count_for_nothing(loss):
    target = square()
    weights = torch.ones(1, 16, 16)
    weights[..., -1] = 0
    logits = torch.randn(1, 16, 16, requires_grad=True)
    other = logits.detach().clone()
    other[..., -1] += 5
    far_apart = (BoundaryBandLoss,)  # outlines reach into their neighbourhood
    if not isinstance(loss, far_apart):
        assert torch.allclose(loss(logits, target, weights), loss(other, target, weights))
    loss(logits, target, weights).sum().backward()
    assert torch.isfinite(logits.grad).all()


@by_name
def test_no_masks_no_losses(loss):
    empty = torch.zeros(0, 8, 8)
    assert loss(empty, empty, empty).shape == (0,)


def test_values_by_hand():
    logits, target = torch.zeros(1, 1, 2), torch.tensor([[[1.0, 0.0]]])
    weights = torch.ones(1, 1, 2)

    assert MaskBCELoss()(logits, target, weights) == pytest.approx(math.log(2))
    assert MaskDiceLoss()(logits, target, weights) == pytest.approx(1 - 2 / 3)
    assert MaskSoftIoULoss()(logits, target, weights) == pytest.approx(1 - 1.5 / 2.5)
    focal = (0.25 + 0.75) / 2 * 0.25 * math.log(2)
    assert MaskFocalLoss()(logits, target, weights) == pytest.approx(focal)


def test_signed_distance_of_a_square():
    distance = signed_distance(square(), 4.0)[0]

    assert distance[8, 5] == pytest.approx(-0.25)  # the first cell inside
    assert distance[8, 4] == pytest.approx(0.25)
    assert distance[0, 8] == 1
    assert signed_distance(torch.zeros(1, 8, 8), 4.0).abs().sum() == 0
    assert signed_distance(torch.ones(1, 8, 8), 4.0).abs().sum() == 0


def test_wrong_settings_are_named():
    with pytest.raises(UserError, match=r'MaskDiceLoss\.weight'):
        MaskDiceLoss(weight=0)
    with pytest.raises(UserError, match=r'BoundaryBandLoss\.width'):
        BoundaryBandLoss(width=0)
    with pytest.raises(UserError, match=r'SignedDistanceLoss\.limit'):
        SignedDistanceLoss(limit=0)
