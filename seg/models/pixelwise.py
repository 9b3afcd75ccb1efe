"""The same linear map applied to every pixel."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.utils.devices import can_look

_FEW = 3  # filters
_FEW_MAPS = 8


def pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """What a 1x1 convolution makes of maps (B, C, h, w), see :func:`filter_pixels`."""
    return filter_pixels(x, conv.weight.flatten(1), conv.bias)


def filter_pixels(x: Tensor, filters: Tensor, bias: Tensor | None = None) -> Tensor:
    """The products of all pixels and filters.

    On a CPU this is a convolution of maps that lie pixel by pixel, which some processors compute
    twice as fast as a product of matrices, and else that product, as a convolution would first
    copy the maps. One or two filters are products with each row of a map, which threads share.

    Args:
        x: Maps (B, C, h, w).
        filters: (O, C).
        bias: (O,).

    Returns:
        (B, O, h, w), pixel by pixel: the O channels of a pixel lie beside each other in memory.
    """
    pixels = x.permute(0, 2, 3, 1)
    if not are_convolved_as_they_lie(x):
        return F.linear(pixels, filters, bias).permute(0, 3, 1, 2)
    if len(filters) < _FEW:
        products = torch.matmul(pixels, filters.T.expand(len(x), -1, -1).unsqueeze(1))
        return (products if bias is None else products + bias.to(products)).permute(0, 3, 1, 2)
    # Axes of length 1 may have any stride, by which a convolution would not know the layout.
    clear = pixels.flatten(0, 2).unflatten(0, pixels.shape[:3])
    return F.conv2d(clear.permute(0, 3, 1, 2), filters[:, :, None, None], bias)


def sum_pixels(weights: Tensor, x: Tensor) -> Tensor:
    """Weighted sums over the pixels of maps.

    On a CPU few of them are sums of those of each row, which threads share.

    Args:
        weights: (B, Q, h, w).
        x: Maps (B, C, h, w).

    Returns:
        (B, Q, C).
    """
    pixels = x.permute(0, 2, 3, 1)
    if weights.shape[1] > _FEW_MAPS or not can_look(x.device):
        return weights.flatten(2) @ pixels.flatten(1, 2)
    return (weights.transpose(1, 2) @ pixels).sum(dim=1)


def are_convolved_as_they_lie(x: Tensor) -> bool:
    """Whether maps (B, C, h, w) lie pixel by pixel in main memory, where that is fastest."""
    return x.device.type == 'cpu' and x.is_contiguous(memory_format=torch.channels_last)
