"""Tiles cut out of maps with margins, against slices of a padded map."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.memory.tiles import TILE, TileCut, missing_for_tiles, places_of


@pytest.mark.parametrize('size', [(16, 24), (13, 21), (3, 9)])
@pytest.mark.parametrize('margin', [0, 4])
def test_tiles_are_slices_of_the_padded_map(size, margin):
    maps = torch.randn(3, *size)
    _, right, _, below = missing_for_tiles(*size)
    whole = (margin, margin + right, margin, margin + below)
    padded, outside = F.pad(maps, whole), F.pad(torch.zeros(1, *size), whole, value=1.0)
    flags = torch.ones((size[0] + below) // TILE, (size[1] + right) // TILE, dtype=torch.bool)
    flags[0, 0] = len(flags) == 1
    places = places_of(flags)
    cut = TileCut.of(places, size, margin)
    tiles, side = cut(maps), TILE + 2 * margin

    assert tiles.shape == (int(flags.sum()), side**2, 3)
    for i, (row, column) in enumerate(zip(*places, strict=True)):
        inside = (
            ...,
            slice(TILE * row, TILE * row + side),
            slice(TILE * column, TILE * column + side),
        )
        beyond = outside[inside].flatten().bool()
        assert cut.is_beyond[i, :, 0].equal(beyond)
        expected = padded[inside].flatten(1).T
        assert tiles[i][~beyond].equal(expected[~beyond])


def test_no_tiles_are_cut_into_none():
    places = places_of(torch.zeros(2, 3, dtype=torch.bool))

    assert TileCut.of(places, (16, 24), 4)(torch.randn(2, 16, 24)).shape == (0, 12 * 12, 2)
