"""Clicks are kept, and what looks like the clicked place changes with them."""

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


def all_different(height, width):
    """Features of a picture of which no two cells look alike, (h * w, h, w)."""
    return torch.eye(height * width).unflatten(1, (height, width))


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
    features = torch.randn(3, 5, 6, generator=generator)
    return logits, pixels + 0.5, labels, features


def test_every_click_is_kept_after_enlarging(case):
    logits, points, labels, features = case
    before = _at_pixels(logits, points) > 0
    assert not torch.equal(before, labels.bool()), 'the case must need a change'
    kept = ClickKeeper(margin=0.5)(logits, points, labels, features, canvas=CANVAS)
    values = _at_pixels(kept, points)
    assert torch.equal(values > 0, labels.bool())
    changed = (values - _at_pixels(logits, points)).abs() > 1e-4
    assert torch.allclose(values[changed].abs(), torch.tensor(0.5), atol=1e-4)


def test_kept_clicks_change_nothing(case):
    logits, points, labels, features = case
    keeper = ClickKeeper(margin=0.5)
    kept = keeper(logits, points, labels, features, canvas=CANVAS)
    again = keeper(kept, points, labels, features, canvas=CANVAS)
    torch.testing.assert_close(again, kept, rtol=0, atol=1e-6)
    padded = torch.full_like(labels, PADDING)
    torch.testing.assert_close(
        keeper(logits, points, padded, features, canvas=CANVAS), logits, rtol=0, atol=0
    )


def test_what_looks_like_the_clicked_place_goes_with_it():
    left_and_right = torch.ones(1, 16, 24)
    left_and_right[..., :12] = -1
    logits = torch.full((2, 16, 24), 2.0)
    points = torch.tensor([[[10.5, 8.5]], [[10.5, 8.5]]])
    labels = torch.tensor([[BACKGROUND], [FOREGROUND]])
    keeper = ClickKeeper(margin=1.0, reach=3.0)
    kept = keeper(logits, points, labels, left_and_right, canvas=(16, 24))
    gone = kept[0] < 0
    assert gone[8, 10]
    assert gone[6:11, 9:12].all()
    assert not gone[:, 12:].any()
    torch.testing.assert_close(kept[0, :, 12:], logits[0, :, 12:], rtol=0, atol=1e-3)
    assert not gone[:, :2].any(), 'far from the click nothing changes'
    torch.testing.assert_close(kept[1], logits[1], rtol=0, atol=0)
    coarse = F.avg_pool2d(left_and_right, 4)
    assert ((keeper(logits, points, labels, coarse, canvas=(16, 24))[0] < 0) & gone).sum() > 12


def test_what_looks_otherwise_changes_least():
    cells, label = all_different(2, 2), torch.tensor([[1]])
    logits, keeper = torch.full((1, 2, 2), -1.0), ClickKeeper(margin=1.0)
    kept = keeper(logits, torch.tensor([[[1.0, 1.0]]]), label, cells, canvas=(2, 2))
    torch.testing.assert_close(kept, torch.ones(1, 2, 2))
    corner = keeper(logits, torch.tensor([[[0.2, 0.3]]]), label, cells, canvas=(2, 2))
    expected = torch.tensor([[[1.0, -1.0], [-1.0, -1.0]]])
    torch.testing.assert_close(corner, expected, rtol=0, atol=1e-3)


def test_latest_of_two_clicks_that_disagree_wins():
    point = torch.tensor([[[2.5, 2.5], [2.5, 2.5]]])
    labels = torch.tensor([[FOREGROUND, BACKGROUND]])
    alike = torch.zeros(4, 5, 5)
    kept = ClickKeeper()(torch.zeros(1, 5, 5), point, labels, alike, canvas=(5, 5))
    assert kept[0, 2, 2] < 0


def test_no_points_no_masks_and_masks_of_one_cell():
    keeper = ClickKeeper(margin=1.0)
    logits, alike = torch.zeros(2, 3, 3), torch.zeros(4, 3, 3)
    no_points, no_labels = torch.zeros(2, 0, 2), torch.zeros(2, 0, dtype=torch.long)
    kept = keeper(logits, no_points, no_labels, alike, canvas=(3, 3))
    torch.testing.assert_close(kept, logits)
    nobody = keeper(logits[:0], torch.zeros(0, 1, 2), no_labels[:0, :0], alike, canvas=(3, 3))
    assert nobody.shape == (0, 3, 3)
    middle, label = torch.full((1, 1, 2), 0.5), torch.tensor([[FOREGROUND]])
    single = keeper(torch.zeros(1, 1, 1), middle, label, alike[:, :1, :1], canvas=(1, 1))
    torch.testing.assert_close(single, torch.ones(1, 1, 1))


@pytest.mark.parametrize('name', ['margin', 'reach', 'likeness'])
def test_settings_must_be_positive(name):
    with pytest.raises(ValueError, match=rf'ClickKeeper\.{name}.*got 0'):
        ClickKeeper(**{name: 0})


@pytest.mark.parametrize('dtype', [torch.bfloat16, torch.float16])
def test_half_precision_changes_nothing(case, dtype):
    logits, points, labels, features = case
    features = features + 20  # what all places share is not what they are told apart by
    keeper = ClickKeeper(reach=5.0, likeness=0.3)
    exact = keeper(logits, points, labels, features, canvas=CANVAS)
    with torch.autocast('cpu', dtype=dtype):
        half = keeper(logits, points, labels, features, canvas=CANVAS)

    torch.testing.assert_close(half, exact)
