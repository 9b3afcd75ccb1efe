"""Where masks begin and end."""

from __future__ import annotations

import torch
from torch import Tensor

from seg.utils.constants import made_once


def mask_extents(inside: Tensor) -> Tensor:
    """Tight boxes xyxy around masks, at the edges of their pixels; zeros for empty masks.

    Args:
        inside: (..., H, W), bool.

    Returns:
        (..., 4), float32.
    """
    x1, x2 = _extent(inside.any(dim=-2))
    y1, y2 = _extent(inside.any(dim=-1))
    return torch.stack([x1, y1, x2, y2], dim=-1).float()


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First and past-the-last occupied position along the last axis, both 0 where none is."""
    length = occupied.shape[-1]
    places = _places(length, occupied.device)
    last = (occupied * places).amax(dim=-1)
    first = length - (occupied * places.flip(0)).amax(dim=-1)
    return torch.minimum(first, last), last


@made_once
def _places(length: int, device: torch.device) -> Tensor:
    """1 to ``length``, int32."""
    return torch.arange(1, length + 1, dtype=torch.int32, device=device)
