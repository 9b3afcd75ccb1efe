"""Adapter to SAM 3 as it is in transformers, which is imported when the first model is built.

Nothing is downloaded, and nothing of Meta's code or weights is in this package.
"""

from ext.sam3.architecture import SAM3_PARTS, TEXT_PARTS, UNREACHABLE, build_sam3
from ext.sam3.grounding import (
    LEVELS,
    ConceptOutputs,
    encode_text,
    encode_vision,
    ground,
    unpack_levels,
)
from ext.sam3.initialisation import initialise
from ext.sam3.phrases import EXEMPLAR_PHRASE, check_phrases, phrase_tokens
from ext.sam3.pruning import kept_blocks, prune_blocks
from ext.sam3.variants import SAM3_VARIANTS, Sam3Variant, sam3_variant
from ext.sam3.weights import WHERE, image_weights

__all__ = [
    'EXEMPLAR_PHRASE',
    'LEVELS',
    'SAM3_PARTS',
    'SAM3_VARIANTS',
    'TEXT_PARTS',
    'UNREACHABLE',
    'WHERE',
    'ConceptOutputs',
    'Sam3Variant',
    'build_sam3',
    'check_phrases',
    'encode_text',
    'encode_vision',
    'ground',
    'image_weights',
    'initialise',
    'kept_blocks',
    'phrase_tokens',
    'prune_blocks',
    'sam3_variant',
    'unpack_levels',
]
