"""Tiles cut out of maps with margins, against slices of a padded map."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.tiles import TileCut, missing_for_tiles, places_of, tile_side
from seg.utils.devices import as_if_ahead


@pytest.mark.parametrize('size', [(16, 24), (13, 21), (3, 9)])
@pytest.mark.parametrize(('tile', 'margin'), [(4, 0), (4, 4), (8, 4)])
def test_tiles_are_slices_of_the_padded_map(size, tile, margin):
    maps = torch.randn(3, *size)
    _, right, _, below = missing_for_tiles(*size, tile)
    whole = (margin, margin + right, margin, margin + below)
    padded, outside = F.pad(maps, whole), F.pad(torch.zeros(1, *size), whole, value=1.0)
    flags = torch.ones((size[0] + below) // tile, (size[1] + right) // tile, dtype=torch.bool)
    flags[0, 0] = len(flags) == 1
    places = places_of(flags)
    cut = TileCut.of(places, size, tile, margin)
    tiles, side = cut(maps), tile + 2 * margin

    assert tiles.shape == (int(flags.sum()), side**2, 3)
    for i, (row, column) in enumerate(zip(*places, strict=True)):
        inside = (
            ...,
            slice(tile * row, tile * row + side),
            slice(tile * column, tile * column + side),
        )
        beyond = outside[inside].flatten().bool()
        assert cut.is_beyond[i, :, 0].equal(beyond)
        expected = padded[inside].flatten(1).T
        assert tiles[i][~beyond].equal(expected[~beyond])


def test_no_tiles_are_cut_into_none():
    places = places_of(torch.zeros(2, 3, dtype=torch.bool))

    assert TileCut.of(places, (16, 24), 4, 4)(torch.randn(2, 16, 24)).shape == (0, 12 * 12, 2)


def test_where_all_are_cut_they_are_larger():
    flags = torch.zeros(2, 3, dtype=torch.bool)
    assert tile_side(flags.device) == 4
    assert len(places_of(flags)[0]) == 0
    with as_if_ahead():
        assert tile_side(flags.device) == 8
        assert len(places_of(flags)[0]) == 6
