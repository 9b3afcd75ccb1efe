"""Layers that several parts of the decoder are made of."""

from __future__ import annotations

from torch import nn


def mlp(
    in_channels: int, hidden_channels: int, out_channels: int, num_layers: int
) -> nn.Sequential:
    """Linear layers with ReLU between them."""
    widths = [in_channels, *[hidden_channels] * (num_layers - 1), out_channels]
    layers: list[nn.Module] = []
    for i in range(num_layers):
        layers += [nn.Linear(widths[i], widths[i + 1]), nn.ReLU()]
    return nn.Sequential(*layers[:-1])
