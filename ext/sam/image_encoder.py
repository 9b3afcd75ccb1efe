"""The package's image encoder with fused attention, places for adapters, and any canvas size."""

from __future__ import annotations

from functools import partial

import torch
from segment_anything.modeling.image_encoder import (
    Block,
    ImageEncoderViT,
    window_partition,
    window_unpartition,
)
from torch import Tensor, nn
from torch.nn import functional as F

from ext.sam.attention import FusedImageAttention
from ext.sam.variants import SamVariant


class FusedBlock(Block):
    """A transformer block with fused attention and, if given, adapters.

    ``adapters`` is empty, and then adds no names to the state dict; a strategy may put ``'attn'``
    (applied to what attention gives) and ``'mlp'`` (beside the feed-forward layers) into it.

    Args:
        variant: Sizes of the model.
        window_size: Side of the windows, patches; 0 to attend to the whole image.
    """

    def __init__(self, variant: SamVariant, window_size: int) -> None:
        grid = variant.native_size // variant.patch_size
        side = window_size or grid
        super().__init__(
            dim=variant.embed_dim,
            num_heads=variant.num_heads,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=window_size,
            input_size=(side, side),
        )
        self.attn = FusedImageAttention(
            variant.embed_dim, variant.num_heads, use_rel_pos=True, input_size=(side, side)
        )
        self.adapters = nn.ModuleDict()

    def forward(self, x: Tensor) -> Tensor:
        """Transform patches (B, H, W, C)."""
        x = x + self._attend(self.norm1(x))
        normed = self.norm2(x)
        out = x + self.mlp(normed)
        return out + self.adapters['mlp'](normed) if 'mlp' in self.adapters else out

    def _attend(self, x: Tensor) -> Tensor:
        if self.window_size > 0:
            size = (x.shape[1], x.shape[2])
            windows, padded = window_partition(x, self.window_size)
            out = window_unpartition(self.attn(windows), self.window_size, padded, size)
        else:
            out = self.attn(x)
        return out + self.adapters['attn'](out) if 'attn' in self.adapters else out


class FusedImageEncoder(ImageEncoderViT):
    """The image encoder of a variant, for canvases of any multiple of the patch size.

    Position tables keep the size that they were trained at, so that published weights load as they
    are; on other canvases they are interpolated.

    Args:
        variant: Sizes of the model.
    """

    def __init__(self, variant: SamVariant) -> None:
        super().__init__(
            img_size=variant.native_size,
            patch_size=variant.patch_size,
            embed_dim=variant.embed_dim,
            depth=0,
            out_chans=variant.prompt_dim,
        )
        for index in range(variant.depth):
            window = 0 if index in variant.global_blocks else variant.window_size
            self.blocks.append(FusedBlock(variant, window))

    def forward(self, x: Tensor) -> Tensor:
        """Embed normalised images (B, 3, H, W) as (B, C, H / patch, W / patch)."""
        x = self.patch_embed(x)
        x = x + self._positions((x.shape[1], x.shape[2]))
        for block in self.blocks:
            x = block(x)
        return self.neck(x.permute(0, 3, 1, 2))

    def _positions(self, size: tuple[int, int]) -> Tensor:
        """Position embeddings of a grid, (1, H, W, C)."""
        assert self.pos_embed is not None, 'SAM has absolute positions'
        if self.pos_embed.shape[1:3] == torch.Size(size):
            return self.pos_embed
        table = self.pos_embed.permute(0, 3, 1, 2)
        resized = F.interpolate(table, size=size, mode='bicubic', align_corners=False)
        return resized.permute(0, 2, 3, 1)
