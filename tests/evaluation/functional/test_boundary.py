import numpy as np
import pytest

from seg.evaluation.functional import boundary_iou, boundary_region


def square(top=10, left=10, side=20, size=(60, 80)):
    mask = np.zeros(size, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_the_region_is_a_ring_of_the_given_width():
    region = boundary_region(square(), share=0.02)  # diagonal 100, so two pixels
    assert region.sum() == 20 * 20 - 16 * 16
    assert not region[12:28, 12:28].any()


def test_the_edge_of_the_image_is_part_of_the_outline():
    assert boundary_region(np.ones((60, 80), dtype=bool), 0.02)[:2].all()


def test_by_hand_for_shifted_squares():
    ring, other = boundary_region(square(), 0.02), boundary_region(square(left=11), 0.02)
    expected = (ring & other).sum() / (ring | other).sum()
    assert boundary_iou(square(), square(left=11)) == pytest.approx(expected)
    assert expected < 0.7  # where plain IoU is 0.9


def test_equal_and_empty_masks():
    empty = np.zeros((60, 80), dtype=bool)
    assert boundary_iou(square(), square()) == 1
    assert boundary_iou(empty, empty) == 1
    assert boundary_iou(empty, square()) == 0
