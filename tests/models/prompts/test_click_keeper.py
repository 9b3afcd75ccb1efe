"""Clicks are kept by the smallest change that keeps them."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.prompts import ClickKeeper

FOREGROUND, BACKGROUND, PADDING = 1, 0, -1


CANVAS = (28, 36)


def _at_pixels(logits, points):
    """Values of enlarged masks at the pixels that hold the points, (R, P)."""
    full = F.interpolate(logits[None], size=CANVAS, mode='bilinear', align_corners=False)[0]
    pixels = points.long()
    return torch.stack([m[p[:, 1], p[:, 0]] for m, p in zip(full, pixels, strict=True)])


@pytest.fixture
def case():
    generator = torch.Generator().manual_seed(3)
    logits = 4 * torch.randn(6, 7, 9, generator=generator)
    pixels = torch.stack(
        [
            torch.randint(0, 36, (6, 1), generator=generator),
            torch.randint(0, 28, (6, 1), generator=generator),
        ],
        dim=-1,
    )
    labels = torch.tensor([[1], [0], [1], [0], [1], [0]])
    return logits, pixels + 0.5, labels


def test_every_click_is_kept_after_enlarging(case):
    logits, points, labels = case
    before = _at_pixels(logits, points) > 0
    assert not torch.equal(before, labels.bool()), 'the case must need a change'
    kept = ClickKeeper(margin=0.5)(logits, points, labels, canvas=CANVAS)
    values = _at_pixels(kept, points)
    assert torch.equal(values > 0, labels.bool())
    changed = (values - _at_pixels(logits, points)).abs() > 1e-4
    assert torch.allclose(values[changed].abs(), torch.tensor(0.5), atol=1e-4)


def test_kept_clicks_change_nothing(case):
    logits, points, labels = case
    keeper = ClickKeeper(margin=0.5)
    kept = keeper(logits, points, labels, canvas=CANVAS)
    torch.testing.assert_close(keeper(kept, points, labels, canvas=CANVAS), kept, rtol=0, atol=1e-6)
    padded = torch.full_like(labels, PADDING)
    torch.testing.assert_close(
        keeper(logits, points, padded, canvas=CANVAS), logits, rtol=0, atol=0
    )


def test_change_is_the_smallest_one():
    logits = torch.full((1, 2, 2), -1.0)
    kept = ClickKeeper()(logits, torch.tensor([[[1.0, 1.0]]]), torch.tensor([[1]]), canvas=(2, 2))
    torch.testing.assert_close(kept, torch.ones(1, 2, 2))
    corner = ClickKeeper()(logits, torch.tensor([[[0.2, 0.3]]]), torch.tensor([[1]]), canvas=(2, 2))
    torch.testing.assert_close(corner, torch.tensor([[[1.0, -1.0], [-1.0, -1.0]]]))


def test_latest_of_two_clicks_that_disagree_wins():
    point = torch.tensor([[[2.5, 2.5], [2.5, 2.5]]])
    labels = torch.tensor([[FOREGROUND, BACKGROUND]])
    kept = ClickKeeper()(torch.zeros(1, 5, 5), point, labels, canvas=(5, 5))
    assert kept[0, 2, 2] < 0


def test_no_points_and_masks_of_one_cell():
    keeper = ClickKeeper()
    logits = torch.zeros(2, 3, 3)
    no_points, no_labels = torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.long)
    torch.testing.assert_close(keeper(logits, no_points, no_labels, canvas=(3, 3)), logits)
    middle, label = torch.full((1, 1, 2), 0.5), torch.tensor([[FOREGROUND]])
    single = keeper(torch.zeros(1, 1, 1), middle, label, canvas=(1, 1))
    torch.testing.assert_close(single, torch.ones(1, 1, 1))


def test_margin_must_be_positive():
    with pytest.raises(ValueError, match=r'ClickKeeper\.margin.*got 0'):
        ClickKeeper(margin=0)
