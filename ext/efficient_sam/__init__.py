"""EfficientSAM's architecture under the names of its published weights.

It is on no package index, so it is written here from its description: the same names, shapes and
numbers, with fused attention, canvases of any size and places for adapters. Nothing is downloaded.
"""

from ext.efficient_sam.image_encoder import ViTEncoder
from ext.efficient_sam.mask_decoder import EfficientMaskDecoder
from ext.efficient_sam.model import EfficientSam
from ext.efficient_sam.prompt_encoder import (
    LABEL_BOTTOM_RIGHT,
    LABEL_CLICK,
    LABEL_PADDING,
    LABEL_TOP_LEFT,
    PointEncoder,
    boxes_as_points,
)
from ext.efficient_sam.variants import (
    EFFICIENT_SAM_VARIANTS,
    EfficientSamVariant,
    efficient_sam_variant,
)

__all__ = [
    'EFFICIENT_SAM_VARIANTS',
    'LABEL_BOTTOM_RIGHT',
    'LABEL_CLICK',
    'LABEL_PADDING',
    'LABEL_TOP_LEFT',
    'EfficientMaskDecoder',
    'EfficientSam',
    'EfficientSamVariant',
    'PointEncoder',
    'ViTEncoder',
    'boxes_as_points',
    'efficient_sam_variant',
]
