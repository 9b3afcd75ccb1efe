"""segment-anything's own model of any size, to compare with."""

from __future__ import annotations

from functools import partial

import torch
from segment_anything.modeling import (
    ImageEncoderViT,
    MaskDecoder,
    PromptEncoder,
    Sam,
    TwoWayTransformer,
)
from torch import nn

from ext.sam import SamVariant

TOY_SAM = dict(
    embed_dim=32,
    depth=2,
    num_heads=2,
    global_blocks=(1,),
    window_size=3,
    patch_size=16,
    native_size=128,
    prompt_dim=32,
    decoder_heads=2,
    decoder_mlp_dim=48,
)
"""Sizes of a SAM of a few thousand parameters, with windows that do not divide the grid."""


def reference_sam(variant: SamVariant, image_size: int | None = None) -> Sam:
    """The package's model, untrained.

    Args:
        variant: Its sizes.
        image_size: Side of the canvas that its prompt encoder assumes; by default the native one.
    """
    size = image_size or variant.native_size
    grid = size // variant.patch_size
    return Sam(
        image_encoder=ImageEncoderViT(
            img_size=variant.native_size,
            patch_size=variant.patch_size,
            embed_dim=variant.embed_dim,
            depth=variant.depth,
            num_heads=variant.num_heads,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
            window_size=variant.window_size,
            global_attn_indexes=variant.global_blocks,
            out_chans=variant.prompt_dim,
        ),
        prompt_encoder=PromptEncoder(
            embed_dim=variant.prompt_dim,
            image_embedding_size=(grid, grid),
            input_image_size=(size, size),
            mask_in_chans=16,
        ),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3,
            transformer=TwoWayTransformer(
                depth=2,
                embedding_dim=variant.prompt_dim,
                num_heads=variant.decoder_heads,
                mlp_dim=variant.decoder_mlp_dim,
            ),
            transformer_dim=variant.prompt_dim,
            iou_head_depth=3,
            iou_head_hidden_dim=variant.prompt_dim,
        ),
    ).eval()


def randomize(module: nn.Module, seed: int = 0) -> None:
    """Fill parameters with noise, so that nothing is zero by initialisation."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in module.parameters():
            value.add_(0.1 * torch.randn(value.shape, generator=generator))
