"""Cross-attention of queries to coarse features."""

from __future__ import annotations

from torch import Tensor, nn

from seg.models.decoders.layers import attend
from seg.models.prompts.positional import sine_grid


class ContextAttention(nn.Module):
    """Queries read the whole picture at stride 16, positions included.

    The kernel update sees only what lies under a query's own mask; this lets a query look where
    its mask is not yet.

    Args:
        feat_channels: Width C.
        num_heads: Attention heads.
    """

    def __init__(self, feat_channels: int, num_heads: int) -> None:
        super().__init__()
        self.attn = nn.MultiheadAttention(feat_channels, num_heads, batch_first=True)
        self.norm = nn.LayerNorm(feat_channels)

    def forward(self, queries: Tensor, context_feats: Tensor) -> Tensor:
        """Read the context.

        Args:
            queries: (B, Q, C).
            context_feats: (B, T, C, h, w).

        Returns:
            (B, Q, C).
        """
        num_frames, channels, height, width = context_feats.shape[1:]
        values = context_feats.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (B, T*h*w, C)
        code = sine_grid(height, width, channels, context_feats.device)
        keys = values + code.to(values).repeat(num_frames, 1)
        return self.norm(queries + attend(self.attn, queries, keys, values))
