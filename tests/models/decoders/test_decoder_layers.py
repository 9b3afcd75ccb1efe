"""Layers that are computed in another way than by their name."""

import pytest
import torch
from torch import nn

from seg.models.decoders.layers import attend


@pytest.mark.parametrize('num_queries', [0, 1, 3, 4])
def test_few_queries_read_pixels_as_many_do(num_queries):
    torch.manual_seed(0)
    attn = nn.MultiheadAttention(16, 4, batch_first=True).double()
    nn.init.normal_(attn.in_proj_bias)
    queries, (keys, values) = torch.randn(2, num_queries, 16), torch.randn(2, 2, 30, 16)
    given = [x.double().requires_grad_() for x in (queries, keys, values)]
    plain = [x.double().requires_grad_() for x in (queries, keys, values)]
    read = attend(attn, *given)
    expected = attn(*plain, need_weights=False)[0]

    torch.testing.assert_close(read, expected)
    weights = torch.randn_like(expected)
    (read * weights).sum().backward()
    (expected * weights).sum().backward()
    for got, wanted in zip(given, plain, strict=True):
        torch.testing.assert_close(got.grad, wanted.grad)
