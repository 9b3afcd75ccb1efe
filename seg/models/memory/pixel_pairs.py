"""How alike the pixels of a frame and remembered ones are."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.pixelwise import filter_pixels
from seg.utils.devices import can_look, rows_at_once

NEVER = 1e4
"""Taken from logits of what must not count."""

_GROUP = 8  # remembered pixels, or groups of them, that are looked at together
_PLACE = (1 << 28) - 1  # bits of a double that say less than half of the last one of a float


class PixelPairs(NamedTuple):
    """The pixels of a frame and remembered ones, whose products say how alike they are.

    Attributes:
        here: Those of the frame, (P, K).
        there: Those of all remembered frames, (R, K).
    """

    here: Tensor
    there: Tensor

    @classmethod
    def of(cls, here: list[Tensor], there: list[Tensor], counted: Tensor) -> PixelPairs:
        """Pairs of pixels whose channels come in several parts.

        Args:
            here: Channels of the frame, (K, P) each.
            there: Those of remembered ones, (F, K, P) each.
            counted: Which frames count for which object, (F, N), bool. Products with those that
                count for none are far below all others.
        """
        # One more channel: -1 of the frame times a large number of those that count for none.
        never = NEVER * (~counted.any(dim=1)).float()
        num_pixels = here[0].shape[1]
        here = [*here, here[0].new_full((1, num_pixels), -1.0)]
        there = [*there, never[:, None, None].expand(-1, 1, num_pixels)]
        by_pixel = torch.cat([channels.transpose(1, 2) for channels in there], dim=2)
        return cls(torch.cat(here).T, by_pixel.flatten(0, 1))

    @property
    def num_there(self) -> int:
        """Remembered pixels of all frames, R."""
        return self.there.shape[0]

    def products(self) -> Tensor:
        """Of all pairs, (R, P)."""
        return self._products(self.here)

    def _products(self, here: Tensor) -> Tensor:
        """Of all remembered pixels with some of the frame, (R, some)."""
        pixels = self.there[None, None].permute(0, 3, 1, 2)  # a picture of a single row
        return filter_pixels(pixels, here)[0, :, 0].T

    def largest(self, count: int) -> tuple[Tensor, Tensor]:
        """The ``count`` largest products of each pixel and their places, in any order, (count, P).

        All products at once may leave a processor's cache between one pass and the next; for many
        small parts it would prepare the product over and over.
        """
        some = self.here.split(rows_at_once(self.num_there // 4, self.here.device))
        found = [_largest(self._products(rows), count) for rows in some]
        values, index = (torch.cat(parts, dim=1) for parts in zip(*found, strict=True))
        return values, index


def _largest(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest of each column and their places, in any order, (count, columns) each.

    They are in the groups with the largest maxima, which are found in the same way: to select
    among few is much cheaper than among all of a column. Exported programs, whose columns may have
    any length, select among all.
    """
    length = values.shape[0]
    num_groups = -(-length // _GROUP)
    if torch.compiler.is_compiling() or num_groups <= 2 * count:  # their members are half of all
        return _selected(values, count)
    detached, missing = values.detach(), num_groups * _GROUP - length
    if missing:  # padding copies
        detached = F.pad(detached, (0, 0, 0, missing), value=torch.finfo(values.dtype).min)
    maxima = detached.unflatten(0, (_GROUP, num_groups)).amax(dim=0)
    groups = _largest(maxima, count)[1]
    first = num_groups * torch.arange(_GROUP, device=values.device)
    members = (groups + first[:, None, None]).flatten(0, 1)
    index = members.gather(0, _selected(detached.gather(0, members), count)[1])
    return values.gather(0, index), index


def _selected(values: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The same, among all of each column; finite ones.

    On a CPU without gradient by the partition of NumPy, two to four times as fast as ``topk``. It
    moves numbers alone, so each place is written into those bits of a double that a float leaves
    free: too few to change what the double is rounded to.
    """
    has_room = values.dtype is not torch.float64
    if torch.is_grad_enabled() or not (has_room and can_look(values.device)):
        best = values.topk(count, dim=0, sorted=False)
        return best.values, best.indices
    columns = values.T.to(torch.float64, memory_format=torch.contiguous_format)
    length = columns.shape[1]
    columns.view(torch.int64).bitwise_or_(torch.arange(length, device=values.device))
    columns.numpy().partition(length - count, axis=1)
    largest = columns[:, length - count :].T.contiguous()
    return largest.to(values.dtype), largest.view(torch.int64) & _PLACE
