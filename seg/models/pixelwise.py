"""The same linear map applied to every pixel."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


def pointwise(conv: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution of maps (B, C, h, w) with channels beside each other in memory."""
    return filter_pixels(x, conv.weight.flatten(1), conv.bias)


def filter_pixels(x: Tensor, filters: Tensor, bias: Tensor | None = None) -> Tensor:
    """The products of all pixels and filters.

    A convolution does that twice as fast on some CPUs as their product of matrices, where channels
    lie beside each other; else it would copy the maps.

    Args:
        x: Maps (B, C, h, w).
        filters: (O, C).
        bias: (O,).

    Returns:
        (B, O, h, w), with channels beside each other in memory.
    """
    pixels = x.permute(0, 2, 3, 1)
    if x.device.type != 'cpu' or not pixels.is_contiguous() or not len(filters):
        return F.linear(pixels, filters, bias).permute(0, 3, 1, 2)
    # Axes of length 1 may have any stride, by which a convolution would not know the layout.
    clear = pixels.flatten(0, 2).unflatten(0, pixels.shape[:3])
    return F.conv2d(clear.permute(0, 3, 1, 2), filters[:, :, None, None], bias)
