import numpy as np
import pytest

from seg.evaluation.functional.clicks import (
    Click,
    first_click,
    mask_iou,
    next_click,
    num_clicks_to_reach,
)


def box(top, bottom, left, right, size=(20, 30)):
    mask = np.zeros(size, dtype=bool)
    mask[top:bottom, left:right] = True
    return mask


def slow_deepest(mask):
    """Distance of every pixel of a mask to the nearest pixel outside, borders included."""
    padded = np.pad(mask, 1)
    outside = np.argwhere(~padded)
    depth = np.zeros(padded.shape)
    for r, c in np.argwhere(padded):
        depth[r, c] = np.sqrt(((outside - (r, c)) ** 2).sum(axis=1).min())
    return depth[1:-1, 1:-1]


def test_iou_by_hand():
    assert mask_iou(box(0, 2, 0, 4), box(0, 4, 0, 3)) == 6 / (8 + 12 - 6)


def test_iou_of_empty_masks():
    empty, full = np.zeros((3, 3), bool), np.ones((3, 3), bool)
    assert mask_iou(empty, empty) == 1
    assert mask_iou(empty, full) == 0


def test_first_click_is_the_centre_of_a_box():
    assert first_click(box(2, 7, 10, 19)) == Click(14.5, 4.5, True)


def test_first_click_of_a_single_pixel_is_its_centre():
    assert first_click(box(0, 1, 29, 30)) == Click(29.5, 0.5, True)


def test_the_border_of_the_image_is_a_border():
    assert first_click(np.ones((5, 9), bool)) == Click(4.5, 2.5, True)


@pytest.mark.parametrize('seed', range(5))
def test_first_click_is_as_deep_as_any_pixel(seed):
    rng = np.random.default_rng(seed)
    mask = np.kron(rng.random((4, 6)) < 0.5, np.ones((5, 5))).astype(bool)
    click = first_click(mask)
    depth = slow_deepest(mask)
    assert depth[int(click.y), int(click.x)] == pytest.approx(depth.max())


def test_first_click_moves_with_the_mask():
    shape = np.random.default_rng(1).random((8, 9)) < 0.7
    here, there = np.zeros((40, 40), bool), np.zeros((40, 40), bool)
    here[3:11, 5:14], there[20:28, 17:26] = shape, shape
    a, b = first_click(here), first_click(there)
    assert (b.x - a.x, b.y - a.y) == (12, 17)


def test_a_missed_part_gets_a_positive_click():
    assert next_click(box(0, 5, 0, 5), box(0, 5, 0, 20)) == Click(12.5, 2.5, True)


def test_a_spilled_part_gets_a_negative_click():
    assert next_click(box(0, 5, 0, 20), box(0, 5, 0, 5)) == Click(12.5, 2.5, False)


def test_the_largest_region_is_clicked_and_not_the_largest_kind_of_error():
    target = box(0, 3, 0, 3) | box(0, 3, 10, 13) | box(0, 3, 20, 23)
    spilled = box(10, 15, 0, 5)
    # 27 missed pixels in three regions, 25 spilled ones in one.
    assert next_click(spilled, target) == Click(2.5, 12.5, False)


def test_pixels_that_touch_at_a_corner_are_one_region():
    diagonal = np.zeros((20, 30), bool)
    diagonal[range(5), range(5)] = True
    click = next_click(np.zeros_like(diagonal), diagonal | box(10, 12, 10, 12))
    assert click == Click(2.5, 2.5, True)


def test_equal_regions_put_the_missed_one_first():
    assert next_click(box(0, 3, 0, 3), box(10, 13, 0, 3)) == Click(1.5, 11.5, True)


def test_the_click_lies_in_the_error():
    rng = np.random.default_rng(0)
    for _ in range(10):
        mask, target = (np.kron(rng.random((4, 6)) < 0.5, np.ones((5, 5))) > 0 for _ in range(2))
        click = next_click(mask, target)
        pixel = int(click.y), int(click.x)
        assert mask[pixel] != target[pixel] and target[pixel] == click.is_positive


def test_equal_masks_need_no_click():
    assert next_click(box(1, 4, 2, 9), box(1, 4, 2, 9)) is None


def test_an_empty_target_is_cleared_with_negative_clicks():
    assert next_click(box(0, 3, 0, 3), np.zeros((20, 30), bool)) == Click(1.5, 1.5, False)


def test_correcting_what_is_clicked_ends_with_the_target():
    target, mask = box(0, 9, 0, 9) | box(12, 18, 20, 28), box(3, 15, 3, 15)
    for _ in range(20):
        click = next_click(mask, target)
        if click is None:
            break
        rows, columns = np.ogrid[:20, :30]
        near = (rows + 0.5 - click.y) ** 2 + (columns + 0.5 - click.x) ** 2 < 64
        mask = np.where(near, target, mask)
    assert np.array_equal(mask, target)


@pytest.mark.parametrize(
    ('threshold', 'expected'), [(0.5, 1), (0.85, 3), (0.9, 4), (0.99, 20), (0.6, 2)]
)
def test_number_of_clicks(threshold, expected):
    assert num_clicks_to_reach([0.5, 0.7, 0.85, 0.9], threshold) == expected


def test_clicks_after_the_last_one_do_not_count():
    assert num_clicks_to_reach([0.1, 0.2, 0.9], 0.9, max_clicks=2) == 2


def test_names_an_empty_mask():
    with pytest.raises(ValueError, match='got an empty mask'):
        first_click(np.zeros((3, 3), bool))


def test_names_masks_of_different_shape():
    with pytest.raises(ValueError, match=r'shape of the target \(3, 4\), got \(3, 3\)'):
        next_click(np.ones((3, 3), bool), np.ones((3, 4), bool))


def test_names_a_mask_with_frames():
    with pytest.raises(ValueError, match=r'expected shape \(H, W\)'):
        first_click(np.ones((1, 3, 3), bool))


def test_names_a_mask_that_is_not_bool():
    with pytest.raises(TypeError, match='mask: expected bool, got float64'):
        mask_iou(np.ones((3, 3)), np.ones((3, 3)))
