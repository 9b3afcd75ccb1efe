"""The image encoder: a plain vision transformer and a convolutional neck."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ext.efficient_sam.variants import EfficientSamVariant


class ChannelNorm(nn.Module):
    """Layer normalisation of the channels of every place of a map.

    Args:
        channels: Number of channels.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, H, W)."""
        last = x.permute(0, 2, 3, 1)
        normed = F.layer_norm(last, self.weight.shape, self.weight, self.bias, 1e-6)
        return normed.permute(0, 3, 1, 2)


class PatchEmbed(nn.Module):
    """Patches as vectors.

    Args:
        patch_size: Side of a patch, pixels.
        embed_dim: Channels.
    """

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, embed_dim, patch_size, stride=patch_size)

    def forward(self, x: Tensor) -> Tensor:
        """Embed images (B, 3, H, W) as (B, H / patch, W / patch, C)."""
        return self.proj(x).permute(0, 2, 3, 1)


class Attention(nn.Module):
    """Attention of all patches to all, without ever building the map of all pairs.

    Args:
        embed_dim: Channels.
        num_heads: Heads.
    """

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Attend among the patches (B, H, W, C)."""
        qkv = self.qkv(x.flatten(1, 2)).unflatten(-1, (3, self.num_heads, -1))
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, HW, C / heads)
        out = F.scaled_dot_product_attention(q, k, v)
        return self.proj(out.transpose(1, 2).reshape(x.shape))


class FeedForward(nn.Module):
    """Two linear layers with GELU between them.

    Args:
        embed_dim: Channels; four times as many in the middle.
    """

    def __init__(self, embed_dim: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, 4 * embed_dim)
        self.fc2 = nn.Linear(4 * embed_dim, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """Transform (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))


class EncoderBlock(nn.Module):
    """A transformer block and, if given, adapters.

    ``adapters`` is empty, and then adds no names to the state dict; a strategy may put ``'attn'``
    (applied to what attention gives) and ``'mlp'`` (beside the feed-forward layers) into it.

    Args:
        embed_dim: Channels.
        num_heads: Attention heads.
    """

    def __init__(self, embed_dim: int, num_heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.attn = Attention(embed_dim, num_heads)
        self.norm2 = nn.LayerNorm(embed_dim, eps=1e-6)
        self.mlp = FeedForward(embed_dim)
        self.adapters = nn.ModuleDict()

    def forward(self, x: Tensor) -> Tensor:
        """Transform patches (B, H, W, C)."""
        attended = self.attn(self.norm1(x))
        if 'attn' in self.adapters:
            attended = attended + self.adapters['attn'](attended)
        x = x + attended
        normed = self.norm2(x)
        out = x + self.mlp(normed)
        return out + self.adapters['mlp'](normed) if 'mlp' in self.adapters else out


class ViTEncoder(nn.Module):
    """Embeds images of any multiple of the patch size.

    The table of positions keeps the size it was pretrained at, with a first entry that is never
    used, so that published weights load as they are; it is interpolated to the grid of the image.

    Args:
        variant: Sizes of the model.
    """

    def __init__(self, variant: EfficientSamVariant) -> None:
        super().__init__()
        dim, out = variant.embed_dim, variant.prompt_dim
        self.grid = variant.position_grid
        self.pos_embed = nn.Parameter(torch.zeros(1, 1 + self.grid**2, dim))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        self.patch_embed = PatchEmbed(variant.patch_size, dim)
        self.blocks = nn.ModuleList(
            EncoderBlock(dim, variant.num_heads) for _ in range(variant.depth)
        )
        self.neck = nn.Sequential(
            nn.Conv2d(dim, out, 1, bias=False),
            ChannelNorm(out),
            nn.Conv2d(out, out, 3, padding=1, bias=False),
            ChannelNorm(out),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Embed normalised images (B, 3, H, W) as (B, C, H / patch, W / patch)."""
        x = self.patch_embed(x)
        x = x + self._positions((x.shape[1], x.shape[2]))
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))

    def _positions(self, size: tuple[int, int]) -> Tensor:
        """Position embeddings of a grid, (1, H, W, C)."""
        table = self.pos_embed[:, 1:].unflatten(1, (self.grid, self.grid))
        if size == (self.grid, self.grid):
            return table
        resized = F.interpolate(table.permute(0, 3, 1, 2), size=size, mode='bicubic')
        return resized.permute(0, 2, 3, 1)
