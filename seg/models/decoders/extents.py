"""Where masks begin and end."""

from __future__ import annotations

import torch
from torch import Tensor


def mask_extents(inside: Tensor) -> Tensor:
    """Tight boxes xyxy around masks, at the edges of their pixels; zeros for empty masks.

    Args:
        inside: (..., H, W), bool.

    Returns:
        (..., 4), float32.
    """
    x1, x2 = _extent(inside.any(dim=-2))
    y1, y2 = _extent(inside.any(dim=-1))
    return torch.stack([x1, y1, x2, y2], dim=-1)


def _extent(occupied: Tensor) -> tuple[Tensor, Tensor]:
    """First and past-the-last occupied position along the last axis, both 0 where none is."""
    length = occupied.shape[-1]
    occurs = occupied.any(dim=-1)
    first = occupied.int().argmax(dim=-1)
    last = length - occupied.flip(-1).int().argmax(dim=-1)
    return (first * occurs).float(), (last * occurs).float()
