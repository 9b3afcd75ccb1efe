import numpy as np
import pytest

from seg.datasets.transforms.loose_masks import (
    coarse_polygon,
    fixed_loose_mask,
    move_border,
    random_loose_mask,
)
from seg.evaluation.functional import mask_iou


def disc(size, center, radius):
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows - center[1]) ** 2 + (columns - center[0]) ** 2 < radius**2


def box_of(mask):
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    ('size', 'radius'), [((64, 80), 4), ((64, 80), 20), ((300, 400), 90)], ids=str
)
def test_random_masks_resemble_the_truth(size, radius):
    mask = disc(size, (size[1] // 2, size[0] // 2), radius)
    rng = np.random.default_rng(0)
    ious = []
    for _ in range(60):
        loose = random_loose_mask(mask, box_of(mask), rng)
        assert loose.shape == mask.shape and loose.dtype == bool and loose.any()
        ious.append(mask_iou(loose, mask))
    assert min(ious) > 0.35
    assert np.mean([0.48 < iou < 0.95 for iou in ious]) > 0.85
    assert np.std(ious) > 0.05


@pytest.mark.parametrize('grow', [True, False])
def test_fixed_masks_grow_or_shrink(grow):
    mask = disc((64, 80), (30, 30), 15)
    loose = fixed_loose_mask(mask, box_of(mask), grow=grow)
    assert (loose.sum() > mask.sum()) is np.bool_(grow)
    assert mask_iou(loose, mask) == pytest.approx(0.7, abs=0.03)
    columns = np.nonzero(loose)[1].mean() - np.nonzero(mask)[1].mean()
    assert columns > 1  # to the right


@pytest.mark.parametrize('mask', [np.ones((16, 20), bool), np.eye(30, dtype=bool)], ids=str)
@pytest.mark.parametrize('grow', [True, False])
def test_masks_without_room_are_never_emptied(mask, grow):
    assert fixed_loose_mask(mask, box_of(mask), grow=grow).any()
    rng = np.random.default_rng(0)
    assert all(random_loose_mask(mask, box_of(mask), rng).any() for _ in range(20))


def test_single_pixels_stay():
    mask = np.zeros((200, 300), bool)
    mask[199, 299] = True
    assert fixed_loose_mask(mask, box_of(mask), grow=False).any()


def test_a_border_at_rest_stays():
    mask = disc((40, 40), (20, 20), 9)
    assert np.array_equal(move_border(mask, np.zeros(mask.shape, np.float32), 0.5), mask)


def test_polygons_have_few_corners_and_no_holes():
    ring = disc((60, 60), (30, 30), 20) & ~disc((60, 60), (30, 30), 12)
    polygon = coarse_polygon(ring, 0.2)
    assert polygon[30, 30]
    assert 0.4 < mask_iou(polygon, disc((60, 60), (30, 30), 20)) < 0.97
