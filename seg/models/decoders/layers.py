"""Layers that several parts of the decoder are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def mlp(
    in_channels: int, hidden_channels: int, out_channels: int, num_layers: int
) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    widths = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
    layers: list[nn.Module] = []
    for i in range(num_layers):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def attend(attn: nn.MultiheadAttention, queries: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """Queries (B, Q, C) read the values (B, P, C) of pixels by their keys (B, P, C).

    Few queries are cheaper when the projections of keys and values move to their side: a key's
    product with a query is the pixel's with the query times the transposed projection, and the mean
    of projected values is the projected mean. A bias of the keys adds the same to all logits of a
    query. Of 130,000 pixels and 256 channels one query costs 1 GFLOP instead of 34.
    """
    heads, width = attn.num_heads, attn.embed_dim
    if queries.shape[1] * heads >= width:
        return attn(queries, keys, values, need_weights=False)[0]
    to_query, to_key, to_value = attn.in_proj_weight.chunk(3)
    query_bias, _, value_bias = attn.in_proj_bias.chunk(3)
    asked = F.linear(queries, to_query, query_bias).unflatten(-1, (heads, -1))
    scale = asked.shape[-1] ** -0.5
    asked = torch.einsum('bqnd,ndc->bqnc', scale * asked, to_key.unflatten(0, (heads, -1)))
    weights = (asked.flatten(1, 2) @ keys.transpose(1, 2)).softmax(dim=-1)  # (B, Q * heads, P)
    means = (weights @ values).unflatten(1, (-1, heads))
    read = torch.einsum('bqnc,ndc->bqnd', means, to_value.unflatten(0, (heads, -1)))
    return attn.out_proj(read.flatten(2) + value_bias)


def start_at_zero(layer: nn.Module) -> None:
    """Set the weight and bias of a layer to zero, so that its branch changes nothing at first."""
    for parameter in layer.parameters():
        nn.init.zeros_(parameter)


def check_num_heads(owner: str, num_heads: int, feat_channels: int) -> None:
    """Make sure that attention heads can share the width among them.

    Raises:
        ValueError: If ``num_heads`` is no divisor of ``feat_channels``.
    """
    if num_heads < 1 or feat_channels % num_heads:
        raise ValueError(
            f'{owner}.num_heads: expected a divisor of feat_channels={feat_channels}, got '
            f'{num_heads}; {_nearest_divisor(feat_channels, num_heads)} is the nearest'
        )


def _nearest_divisor(number: int, wanted: int) -> int:
    divisors = [d for d in range(1, number + 1) if number % d == 0]
    return min(divisors, key=lambda d: abs(d - wanted))
