"""Phrases as tokens, without a download: open_clip carries the vocabulary that SAM 3 uses."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ext.open_clip.vocabulary import special_tokens, text_tokens
from seg.utils.checks import UserError

VOCABULARY_SIZE = 49408
"""Tokens of CLIP's vocabulary."""

EXEMPLAR_PHRASE = 'visual'
"""What SAM 3 reads where an object is shown by a box and not named."""


def check_phrases(phrases: Sequence[str]) -> None:
    """Make sure that phrases say something.

    Raises:
        UserError: If one is empty or no text.
    """
    for index, phrase in enumerate(phrases):
        if not isinstance(phrase, str) or not phrase.strip():
            raise UserError(
                f'phrases[{index}]: expected a short noun phrase such as "yellow bus", got '
                f'{phrase!r}; leave it out, or show the object by a box'
            )


def phrase_tokens(phrases: Sequence[str], length: int) -> tuple[Tensor, Tensor]:
    """Tokens of phrases between those of start and end.

    Args:
        phrases: P phrases.
        length: Tokens per phrase L, with those of start and end.

    Returns:
        Tokens (P, L), int64, padded with that of the end, and which of them count (P, L), bool.

    Raises:
        UserError: If a phrase is empty, or has more tokens than there is room for.
    """
    check_phrases(phrases)
    start, end = special_tokens()
    tokens = torch.full((len(phrases), length), end)
    valid = torch.zeros(len(phrases), length, dtype=torch.bool)
    for row, phrase in enumerate(phrases):
        ids = (start, *text_tokens(phrase), end)
        if len(ids) > length:
            raise UserError(
                f'phrases[{row}]: expected at most {length - 2} tokens, got {len(ids) - 2} in '
                f'{phrase[:60]!r}; use a short noun phrase'
            )
        tokens[row, : len(ids)] = torch.tensor(ids)
        valid[row, : len(ids)] = True
    return tokens, valid
