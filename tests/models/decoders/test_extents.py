"""Boxes around masks."""

import torch

from seg.models.decoders.extents import mask_extents


def test_extents_are_edges_and_zero_for_nothing():
    inside = torch.zeros(2, 1, 8, 16, dtype=torch.bool)
    inside[0, 0, 2:5, 3:9] = True
    inside[0, 0, 0, 5] = True

    assert mask_extents(inside).tolist() == [[[3, 0, 9, 5]], [[0, 0, 0, 0]]]


def test_a_full_mask_reaches_the_borders():
    assert mask_extents(torch.ones(8, 16, dtype=torch.bool)).tolist() == [0, 0, 16, 8]


def test_no_masks_have_no_boxes():
    assert mask_extents(torch.zeros(0, 8, 16, dtype=torch.bool)).shape == (0, 4)
