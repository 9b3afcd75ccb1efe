"""Where things are: coordinate channels for pixels, sine codes for boxes and points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from seg.utils.constants import made_once


def axis_coordinates(length: int, device: torch.device) -> Tensor:
    """Coordinates along an axis in [-1, 1], the ends on the outermost pixels, (length,)."""
    return torch.linspace(-1, 1, length, device=device)


@made_once
def pixel_centers(length: int, device: torch.device) -> Tensor:
    """Middles of the pixels along an axis, in pixels, (length,)."""
    return torch.arange(length, device=device) + 0.5


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
    wave = _wave_lengths(num_feats, temperature, coords.device)
    phase = coords.float().unsqueeze(-1) * (2 * math.pi) / wave  # (..., D, n)
    code = torch.stack([phase[..., 0::2].sin(), phase[..., 1::2].cos()], dim=-1)
    return code.flatten(-2).flatten(-2)


@made_once
def sine_grid(height: int, width: int, channels: int, device: torch.device) -> Tensor:
    """Sine code of every pixel centre of a map, (H * W, channels), rows first; float32."""
    y, x = pixel_centers(height, device) / height, pixel_centers(width, device) / width
    grid = torch.stack(torch.meshgrid(y, x, indexing='ij'), dim=-1).flatten(0, 1)
    return sine_encoding(grid, channels // 2)


@made_once
def _wave_lengths(num_feats: int, temperature: float, device: torch.device) -> Tensor:
    """Of each channel, over that of the first, (num_feats,)."""
    index = torch.arange(num_feats, device=device, dtype=torch.float32)
    lengths: Tensor = temperature ** (2 * torch.div(index, 2, rounding_mode='floor') / num_feats)
    return lengths
