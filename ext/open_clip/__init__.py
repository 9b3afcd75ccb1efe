"""Adapter to open_clip: its architectures, tokenizers and weights, without its downloads.

Nothing here touches the network unless weights are asked for by a published tag.
"""

from ext.open_clip.architecture import (
    build_image_trunk,
    build_text_encoder,
    build_tokenizer,
    model_config,
)
from ext.open_clip.vocabulary import (
    build_text_tower,
    special_tokens,
    text_tokens,
    vocabulary_tokens,
)
from ext.open_clip.weights import image_weights, locate_weights, text_weights

__all__ = [
    'build_image_trunk',
    'build_text_encoder',
    'build_text_tower',
    'build_tokenizer',
    'image_weights',
    'locate_weights',
    'model_config',
    'special_tokens',
    'text_tokens',
    'text_weights',
    'vocabulary_tokens',
]
