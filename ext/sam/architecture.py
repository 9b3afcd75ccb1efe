"""Builders of SAM's three modules from sizes, without weights."""

from __future__ import annotations

from segment_anything.modeling import MaskDecoder, PromptEncoder, TwoWayTransformer
from segment_anything.modeling.transformer import Attention

from ext.sam.attention import FusedTokenAttention
from ext.sam.image_encoder import FusedImageEncoder
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


def build_mask_decoder(variant: SamVariant) -> MaskDecoder:
    """The mask decoder, with fused attention."""
    transformer = TwoWayTransformer(
        depth=2,
        embedding_dim=variant.prompt_dim,
        num_heads=variant.decoder_heads,
        mlp_dim=variant.decoder_mlp_dim,
    )
    for path, module in list(transformer.named_modules()):
        if isinstance(module, Attention):
            parent, _, name = path.rpartition('.')
            rate = module.embedding_dim // module.internal_dim
            fused = FusedTokenAttention(module.embedding_dim, module.num_heads, rate)
            setattr(transformer.get_submodule(parent), name, fused)
    return MaskDecoder(
        transformer_dim=variant.prompt_dim,
        transformer=transformer,
        num_multimask_outputs=3,
        iou_head_depth=3,
        iou_head_hidden_dim=variant.prompt_dim,
    )
