"""Layers that are computed in another way than by their name."""

import torch
from torch import nn

from seg.models.decoders.layers import pointwise


def test_a_product_of_matrices_is_the_convolution():
    torch.manual_seed(0)
    conv, maps = nn.Conv2d(6, 4, 1), torch.randn(2, 6, 5, 7)
    for layout in (torch.contiguous_format, torch.channels_last):
        result = pointwise(conv, maps.contiguous(memory_format=layout))

        torch.testing.assert_close(result, conv(maps))
