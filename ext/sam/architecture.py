"""Builders of SAM's three modules from sizes, without weights."""

from __future__ import annotations

from segment_anything.modeling import PromptEncoder

from ext.sam.image_encoder import FusedImageEncoder
from ext.sam.mask_decoder import SharedImageDecoder
from ext.sam.variants import SamVariant


def build_image_encoder(variant: SamVariant) -> FusedImageEncoder:
    """The image encoder."""
    return FusedImageEncoder(variant)


def build_prompt_encoder(variant: SamVariant, image_size: int) -> PromptEncoder:
    """The prompt encoder.

    Args:
        variant: Sizes of the model.
        image_size: Side of the canvas, pixels.
    """
    grid = image_size // variant.patch_size
    return PromptEncoder(
        embed_dim=variant.prompt_dim,
        image_embedding_size=(grid, grid),
        input_image_size=(image_size, image_size),
        mask_in_chans=16,
    )


def build_mask_decoder(variant: SamVariant) -> SharedImageDecoder:
    """The mask decoder."""
    return SharedImageDecoder(variant.prompt_dim, variant.decoder_heads, variant.decoder_mlp_dim)
