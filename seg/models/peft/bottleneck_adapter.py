"""A small network beside a large one that starts as nothing."""

from __future__ import annotations

from torch import Tensor, nn


class BottleneckAdapter(nn.Module):
    """Two linear layers with a narrow middle, whose output is zero at first.

    Source: Houlsby et al., "Parameter-Efficient Transfer Learning for NLP", ICML 2019, with the
    residual left to the caller.

    Args:
        channels: Channels in and out.
        hidden: Channels in the middle.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels, hidden)
        self.act = nn.ReLU()
        self.up = nn.Linear(hidden, channels)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Change to add to (..., C)."""
        return self.up(self.act(self.down(x)))
