"""The tokens of open_clip's vocabulary, and text towers that know a few of them only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import open_clip
from open_clip.transformer import TextTransformer

from ext.open_clip.architecture import TextTower

MAX_TOKEN_BYTES = 32
"""Length of the longest token of the vocabulary."""


@lru_cache(maxsize=1)
def _tokenizer() -> open_clip.SimpleTokenizer:
    return open_clip.SimpleTokenizer()


@lru_cache(maxsize=4096)
def text_tokens(text: str) -> tuple[int, ...]:
    """The tokens of a text, lower case, without those of start and end."""
    return tuple(_tokenizer().encode(text))


def special_tokens() -> tuple[int, int]:
    """The tokens of start and end."""
    tokenizer = _tokenizer()
    return tokenizer.sot_token_id, tokenizer.eot_token_id


def vocabulary_tokens(vocabulary: Sequence[str]) -> tuple[int, ...]:
    """All tokens that the words of a vocabulary need, ascending."""
    return tuple(sorted({token for word in vocabulary for token in text_tokens(word)}))


def build_text_tower(
    vocab_size: int, width: int, *, num_layers: int, num_heads: int, context_length: int
) -> TextTower:
    """Build a causal text tower of open_clip's classes with random weights.

    It reads the embedding off the largest token of a text, and token 0 is padding.

    Args:
        vocab_size: Number of tokens.
        width: Width of the layers and of the embedding; a multiple of ``num_heads``.
        num_layers: Number of layers.
        num_heads: Number of heads.
        context_length: Most tokens of a text.
    """
    transformer = TextTransformer(
        context_length=context_length,
        vocab_size=vocab_size,
        width=width,
        heads=num_heads,
        layers=num_layers,
        output_dim=width,
    )
    return TextTower(transformer)
