"""Sizes of the published models, and of a small one for CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ext.variant_choice import choose_variant
from seg.utils.checks import UserError


@dataclass(frozen=True)
class SamVariant:
    """Sizes of one SAM.

    Attributes:
        embed_dim: Channels of the image encoder.
        depth: Blocks of the image encoder.
        num_heads: Attention heads of a block.
        global_blocks: Blocks that attend to the whole image; the others attend within windows.
        window_size: Side of a window, patches.
        patch_size: Side of a patch, pixels.
        native_size: Side of the square canvas that position tables are made for, pixels.
        prompt_dim: Channels of image embeddings, prompts and decoder.
        decoder_heads: Attention heads of the decoder.
        decoder_mlp_dim: Hidden channels of the decoder's feed-forward layers.
    """

    embed_dim: int
    depth: int
    num_heads: int
    global_blocks: tuple[int, ...]
    window_size: int = 14
    patch_size: int = 16
    native_size: int = 1024
    prompt_dim: int = 256
    decoder_heads: int = 8
    decoder_mlp_dim: int = 2048


SAM_VARIANTS = {
    'vit_b': SamVariant(768, 12, 12, (2, 5, 8, 11)),
    'vit_l': SamVariant(1024, 24, 16, (5, 11, 17, 23)),
    'vit_h': SamVariant(1280, 32, 16, (7, 15, 23, 31)),
    'tiny': SamVariant(
        embed_dim=96,
        depth=4,
        num_heads=3,
        global_blocks=(1, 3),
        window_size=5,
        native_size=160,
        prompt_dim=64,
        decoder_heads=4,
        decoder_mlp_dim=128,
    ),
}
"""The three published models, and ``tiny``, which trains from scratch on a CPU."""


def sam_variant(name_or_sizes: str | Mapping[str, Any]) -> SamVariant:
    """The variant of a name, or one of other sizes.

    Args:
        name_or_sizes: A key of :data:`SAM_VARIANTS`, or the fields of :class:`SamVariant`.

    Raises:
        UserError: If the name is unknown, or sizes do not fit together.
    """
    variant = choose_variant('SAM', SamVariant, SAM_VARIANTS, name_or_sizes)
    if variant.embed_dim % variant.num_heads or variant.prompt_dim % (8 * variant.decoder_heads):
        raise UserError(
            'SAM variant: expected num_heads to divide embed_dim and 8 * decoder_heads to divide '
            f'prompt_dim, got {variant}'
        )
    if variant.native_size % variant.patch_size:
        raise UserError(
            'SAM variant: expected native_size to be a multiple of patch_size, got '
            f'{variant.native_size} and {variant.patch_size}'
        )
    return variant
