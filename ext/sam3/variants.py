"""Sizes of SAM 3 and of smaller models of the same design."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ext.variant_choice import choose_variant
from seg.utils.checks import UserError


@dataclass(frozen=True)
class Sam3Variant:
    """Sizes of one SAM 3.

    Attributes:
        vit_dim: Channels of the image encoder.
        vit_depth: Blocks of the image encoder.
        vit_heads: Attention heads of a block.
        vit_mlp_dim: Hidden channels of a block's feed-forward layers.
        global_blocks: Blocks that attend to the whole image; the others attend within windows.
        encoder_layers: Layers that join image and phrase.
        decoder_layers: Layers in which object queries look for instances.
        image_size: Side of the square canvas, pixels.
        patch_size: Side of a patch, pixels.
        window_size: Side of a window, patches.
        pretrain_size: Side of the images whose position table is tiled over the canvas, pixels.
        width: Channels of everything behind the image encoder.
        num_heads: Attention heads behind the image encoder.
        mlp_dim: Hidden channels of feed-forward layers behind the image encoder.
        geometry_layers: Layers that encode exemplar boxes.
        num_queries: Most instances per phrase.
        text_dim: Channels of the text encoder.
        text_layers: Layers of the text encoder.
        text_heads: Attention heads of the text encoder.
        text_mlp_dim: Hidden channels of the text encoder's feed-forward layers.
        text_length: Most tokens of a phrase, with those of start and end.
        dropout: Share of values dropped behind the image encoder while training.
    """

    vit_dim: int
    vit_depth: int
    vit_heads: int
    vit_mlp_dim: int
    global_blocks: tuple[int, ...]
    encoder_layers: int = 4
    decoder_layers: int = 4
    image_size: int = 1008
    patch_size: int = 14
    window_size: int = 24
    pretrain_size: int = 336
    width: int = 256
    num_heads: int = 8
    mlp_dim: int = 2048
    geometry_layers: int = 3
    num_queries: int = 200
    text_dim: int = 1024
    text_layers: int = 24
    text_heads: int = 16
    text_mlp_dim: int = 4096
    text_length: int = 32
    dropout: float = 0.1

    @property
    def grid(self) -> int:
        """Patches along a side of the canvas."""
        return self.image_size // self.patch_size


SAM3_VARIANTS = {
    'standard': Sam3Variant(
        1024, 32, 16, 4736, (7, 15, 23, 31), encoder_layers=6, decoder_layers=6
    ),
    'larger': Sam3Variant(896, 28, 14, 4144, (6, 13, 20, 27)),
    'depth_pruned': Sam3Variant(1024, 24, 16, 4736, (5, 11, 17, 23)),
    'lite': Sam3Variant(768, 24, 12, 3552, (5, 11, 17, 23)),
    'smaller': Sam3Variant(512, 16, 8, 2368, (3, 7, 11, 15)),
    'tiny': Sam3Variant(
        vit_dim=96,
        vit_depth=2,
        vit_heads=3,
        vit_mlp_dim=288,
        global_blocks=(1,),
        encoder_layers=1,
        decoder_layers=2,
        image_size=64,
        patch_size=8,
        window_size=4,
        pretrain_size=64,
        width=48,
        num_heads=3,
        mlp_dim=144,
        geometry_layers=1,
        num_queries=8,
        text_dim=64,
        text_layers=1,
        text_heads=2,
        text_mlp_dim=128,
        dropout=0.0,
    ),
}
"""The published model, four smaller ones, and ``tiny``, which trains from scratch on a CPU."""


def sam3_variant(name_or_sizes: str | Mapping[str, Any]) -> Sam3Variant:
    """The variant of a name, or one of other sizes.

    Args:
        name_or_sizes: A key of :data:`SAM3_VARIANTS`, or the fields of :class:`Sam3Variant`.

    Raises:
        UserError: If the name is unknown, or sizes do not fit together.
    """
    variant = choose_variant('SAM 3', Sam3Variant, SAM3_VARIANTS, name_or_sizes)
    if variant.image_size % variant.patch_size:
        raise UserError(
            'SAM 3 variant: expected image_size to be a multiple of patch_size, got '
            f'{variant.image_size} and {variant.patch_size}'
        )
    if variant.vit_dim % (4 * variant.vit_heads) or variant.width % (4 * variant.num_heads):
        raise UserError(
            'SAM 3 variant: expected 4 * vit_heads to divide vit_dim and 4 * num_heads to divide '
            f'width, got {variant}'
        )
    last = variant.vit_depth - 1
    if not variant.global_blocks or max(variant.global_blocks) != last:
        raise UserError(
            f'SAM 3 variant: expected the last block {last} among global_blocks, got '
            f'{variant.global_blocks}; choose them anew whenever vit_depth changes'
        )
    return variant
