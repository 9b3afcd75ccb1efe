"""Sizes of the published models, and of small ones for CPUs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ext.variant_choice import choose_variant
from seg.utils.checks import UserError


@dataclass(frozen=True)
class EfficientSamVariant:
    """Sizes of one EfficientSAM.

    Attributes:
        embed_dim: Channels of the image encoder.
        num_heads: Attention heads of a block.
        depth: Blocks of the image encoder.
        patch_size: Side of a patch, pixels.
        native_size: Side of the square canvas that it was trained with, pixels.
        position_grid: Side of the grid that positions are stored for, patches.
        prompt_dim: Channels of image embeddings, prompts and decoder.
        decoder_heads: Attention heads of the decoder.
        decoder_mlp_dim: Hidden channels of the decoder's feed-forward layers.
    """

    embed_dim: int
    num_heads: int
    depth: int = 12
    patch_size: int = 16
    native_size: int = 1024
    position_grid: int = 14
    prompt_dim: int = 256
    decoder_heads: int = 8
    decoder_mlp_dim: int = 2048


_SMALL = dict(native_size=160, prompt_dim=64, decoder_heads=4, decoder_mlp_dim=128)

EFFICIENT_SAM_VARIANTS = {
    'vitt': EfficientSamVariant(192, 3),
    'vits': EfficientSamVariant(384, 6),
    'tiny': EfficientSamVariant(48, 3, depth=3, **_SMALL),
    'small': EfficientSamVariant(96, 6, depth=6, **_SMALL),
}
"""The two published models, Ti and S, and two that train from scratch on a CPU."""


def efficient_sam_variant(name_or_sizes: str | Mapping[str, Any]) -> EfficientSamVariant:
    """The variant of a name, or one of other sizes.

    Args:
        name_or_sizes: A key of :data:`EFFICIENT_SAM_VARIANTS`, or the fields of
            :class:`EfficientSamVariant`.

    Raises:
        UserError: If the name is unknown, or sizes do not fit together.
    """
    variant = choose_variant(
        'EfficientSAM', EfficientSamVariant, EFFICIENT_SAM_VARIANTS, name_or_sizes
    )
    if variant.embed_dim % variant.num_heads or variant.prompt_dim % (8 * variant.decoder_heads):
        raise UserError(
            'EfficientSAM variant: expected num_heads to divide embed_dim and 8 * decoder_heads to '
            f'divide prompt_dim, got {variant}'
        )
    return variant
