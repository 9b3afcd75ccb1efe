"""Square tiles of maps, with margins around them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from seg.utils.devices import can_look

_SMALL, _LARGE = 4, 8  # cells


def cuts_all(device: torch.device) -> bool:
    """Whether all tiles of a map are cut, as which ones are needed cannot be looked at."""
    return not can_look(device)


def tile_side(device: torch.device) -> int:
    """Cells along a side of a tile.

    Along outlines small tiles hold fewer pixels that do not matter. Where all are cut, large ones
    have less margin.
    """
    return _LARGE if cuts_all(device) else _SMALL


def missing_for_tiles(height: int, width: int, side: int) -> tuple[int, int, int, int]:
    """What has to be added to a map on the left, right, top and bottom to cut it into tiles."""
    return 0, -width % side, 0, -height % side


def places_of(flags: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns of true values of a map, or of all of them, see :func:`cuts_all`."""
    if cuts_all(flags.device):
        sides = (torch.arange(length, device=flags.device) for length in flags.shape)
        rows, columns = torch.meshgrid(*sides, indexing='ij')
        return rows.flatten(), columns.flatten()
    rows, columns = flags.nonzero().unbind(dim=1)
    return rows, columns


class TileCut(NamedTuple):
    """Cuts tiles, and a margin around each, out of maps of one size (h, w).

    Attributes:
        pixels: Places in the flat map, (tiles, pixels), rows first; the nearest one for those
            beyond the map.
        is_beyond: Which ones are those, (tiles, pixels, 1), bool.
    """

    pixels: Tensor
    is_beyond: Tensor

    @classmethod
    def of(
        cls, places: tuple[Tensor, Tensor], size: tuple[int, int], side: int, margin: int
    ) -> TileCut:
        """The tiles in some rows and columns, (tiles,) each, of ``side`` cells and a margin."""
        steps = torch.arange(-margin, side + margin, device=places[0].device)
        rows, columns = (side * place.unsqueeze(1) + steps for place in places)
        inner_rows, inner_columns = rows.clamp(0, size[0] - 1), columns.clamp(0, size[1] - 1)
        pixels = size[1] * inner_rows.unsqueeze(2) + inner_columns.unsqueeze(1)
        beyond = (rows != inner_rows).unsqueeze(2) | (columns != inner_columns).unsqueeze(1)
        return cls(pixels.flatten(1), beyond.flatten(1).unsqueeze(2))

    def __call__(self, maps: Tensor) -> Tensor:
        """The pixels of maps (D, h, w), (tiles, pixels, D)."""
        by_pixel = maps.flatten(1).T
        return by_pixel.index_select(0, self.pixels.flatten()).unflatten(0, self.pixels.shape)
