"""Where things are: coordinate channels for pixels, sine codes for boxes and points."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def axis_coordinates(length: int, device: torch.device) -> Tensor:
    """Coordinates along an axis in [-1, 1], the ends on the outermost pixels, (length,)."""
    return torch.linspace(-1, 1, length, device=device)


def sine_encoding(coords: Tensor, num_feats: int = 128, temperature: float = 10000.0) -> Tensor:
    """Sine code of normalised coordinates, each coordinate on its own.

    Source: Carion et al., "End-to-End Object Detection with Transformers", ECCV 2020, and DETR's
    code: even channels are sines, odd channels cosines of 2 pi x / temperature^(2 floor(i/2) / n).

    Args:
        coords: Values in [0, 1], (..., D).
        num_feats: Channels per coordinate, n.
        temperature: Ratio of the longest to the shortest wave length.

    Returns:
        (..., D * num_feats), coordinates in the order given; float32.
    """
    index = torch.arange(num_feats, device=coords.device, dtype=torch.float32)
    scale = temperature ** (2 * torch.div(index, 2, rounding_mode='floor') / num_feats)
    phase = coords.float().unsqueeze(-1) * (2 * math.pi) / scale  # (..., D, n)
    code = torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], dim=-1)
    return code.flatten(-2).flatten(-2)


def sine_grid(size: Sequence[int], channels: int, device: torch.device) -> Tensor:
    """Sine code of every pixel centre of a map, (H * W, channels), rows first; float32."""
    height, width = size
    y = (torch.arange(height, device=device) + 0.5) / height
    x = (torch.arange(width, device=device) + 0.5) / width
    grid = torch.stack(torch.meshgrid(y, x, indexing='ij'), dim=-1).flatten(0, 1)
    return sine_encoding(grid, channels // 2)
