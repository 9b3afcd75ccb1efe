"""Attention between prompt tokens and the image, both ways."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional as F


class TokenAttention(nn.Module):
    """Attention with projections to fewer channels.

    Args:
        channels: Channels of tokens and image.
        num_heads: Heads.
        reduction: Factor by which the projections have fewer channels.
    """

    def __init__(self, channels: int, num_heads: int, reduction: int = 1) -> None:
        super().__init__()
        inner = channels // reduction
        self.num_heads = num_heads
        self.q_proj = nn.Linear(channels, inner)
        self.k_proj = nn.Linear(channels, inner)
        self.v_proj = nn.Linear(channels, inner)
        self.out_proj = nn.Linear(inner, channels)

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from (B, Nq, C) to (B, Nk, C)."""
        heads = [
            projected.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for projected in (self.q_proj(q), self.k_proj(k), self.v_proj(v))
        ]
        out = F.scaled_dot_product_attention(*heads)
        return self.out_proj(out.transpose(1, 2).flatten(2))


class GeluLayers(nn.Module):
    """Linear layers with GELU after all but the last.

    Args:
        channels: Channels in.
        hidden: Channels of the hidden layers.
        out: Channels out.
        num_hidden: Number of hidden layers.
    """

    def __init__(self, channels: int, hidden: int, out: int, num_hidden: int) -> None:
        super().__init__()
        sizes = [channels, *[hidden] * num_hidden]
        self.layers = nn.ModuleList(
            nn.Sequential(nn.Linear(before, after), nn.GELU())
            for before, after in itertools.pairwise(sizes)
        )
        self.fc = nn.Linear(hidden, out)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (..., C)."""
        for layer in self.layers:
            x = layer(x)
        return self.fc(x)


class TwoWayLayer(nn.Module):
    """Tokens attend to each other and to the image, then the image to the tokens.

    Unlike SAM's, the first layer keeps a residual around its attention among tokens, and later
    layers add the tokens' positions to what is attended to and to the residual as well.

    Args:
        channels: Channels of tokens and image.
        num_heads: Attention heads.
        mlp_dim: Hidden channels of the feed-forward layers.
        first: Whether it is the first layer, whose tokens are their own positions.
    """

    def __init__(self, channels: int, num_heads: int, mlp_dim: int, first: bool) -> None:
        super().__init__()
        self.first = first
        self.self_attn = TokenAttention(channels, num_heads)
        self.norm1 = nn.LayerNorm(channels)
        self.cross_attn_token_to_image = TokenAttention(channels, num_heads, 2)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = GeluLayers(channels, mlp_dim, channels, 1)
        self.norm3 = nn.LayerNorm(channels)
        self.norm4 = nn.LayerNorm(channels)
        self.cross_attn_image_to_token = TokenAttention(channels, num_heads, 2)

    def forward(
        self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update tokens (B, K, C) and image (B, HW, C)."""
        if not self.first:
            queries = queries + query_pe
        queries = self.norm1(queries + self.self_attn(queries, queries, queries))
        placed_keys = keys + key_pe
        found = self.cross_attn_token_to_image(queries + query_pe, placed_keys, keys)
        queries = self.norm2(queries + found)
        queries = self.norm3(queries + self.mlp(queries))
        found = self.cross_attn_image_to_token(placed_keys, queries + query_pe, queries)
        return queries, self.norm4(keys + found)


class TwoWayTransformer(nn.Module):
    """Two layers and a last look of the tokens at the image.

    Args:
        channels: Channels of tokens and image.
        num_heads: Attention heads.
        mlp_dim: Hidden channels of the feed-forward layers.
        depth: Number of layers.
    """

    def __init__(self, channels: int, num_heads: int, mlp_dim: int, depth: int = 2) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TwoWayLayer(channels, num_heads, mlp_dim, first=index == 0) for index in range(depth)
        )
        self.final_attn_token_to_image = TokenAttention(channels, num_heads, 2)
        self.norm_final_attn = nn.LayerNorm(channels)

    def forward(self, image: Tensor, image_pe: Tensor, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """Exchange information between tokens and image.

        Args:
            image: (B, C, h, w).
            image_pe: Encoding of the places of the image, of the same shape.
            tokens: (B, K, C).

        Returns:
            Tokens (B, K, C) and the image (B, hw, C).
        """
        keys, key_pe = (maps.flatten(2).transpose(1, 2) for maps in (image, image_pe))
        queries = tokens
        for layer in self.layers:
            queries, keys = layer(queries, keys, tokens, key_pe)
        found = self.final_attn_token_to_image(queries + tokens, keys + key_pe, keys)
        return self.norm_final_attn(queries + found), keys
