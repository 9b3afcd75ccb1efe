"""Adapter to segment-anything: its architectures with fused attention, under its key names.

The modules are the package's own where their arithmetic is; attention is replaced by an equal one
that never builds the attention map. Nothing is downloaded.
"""

from ext.sam.architecture import build_image_encoder, build_mask_decoder, build_prompt_encoder
from ext.sam.attention import FusedImageAttention, FusedTokenAttention
from ext.sam.image_encoder import FusedBlock, FusedImageEncoder
from ext.sam.mask_decoder import SharedImageDecoder
from ext.sam.variants import SAM_VARIANTS, SamVariant, sam_variant

__all__ = [
    'SAM_VARIANTS',
    'FusedBlock',
    'FusedImageAttention',
    'FusedImageEncoder',
    'FusedTokenAttention',
    'SamVariant',
    'SharedImageDecoder',
    'build_image_encoder',
    'build_mask_decoder',
    'build_prompt_encoder',
    'sam_variant',
]
