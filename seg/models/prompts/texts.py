"""What all text encoders ask of the phrases that they are given."""

from __future__ import annotations

import logging
from collections.abc import Container, Sequence
from functools import lru_cache
from typing import NamedTuple

from mmengine.logging import print_log
from torch import Tensor

from ext.open_clip import text_tokens
from ext.open_clip.vocabulary import MAX_TOKEN_BYTES
from seg.utils.checks import UserError

_MAX_SHOWN = 60


class TextWords(NamedTuple):
    """Phrases word by word, padded to L words.

    Attributes:
        embeddings: (..., L, C), zero where nothing is said.
        said: Where there is a word, (..., L), bool.
    """

    embeddings: Tensor
    said: Tensor


def check_texts(texts: Sequence[str]) -> None:
    """Check that phrases can be encoded.

    Args:
        texts: N phrases.

    Raises:
        UserError: If it is a single string, or a phrase is no string, blank, or not valid Unicode;
            the message shows the phrase.
    """
    if isinstance(texts, str):
        raise UserError(f'texts: expected a list of phrases, got the string {texts!r}; write [...]')
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(
                f'texts[{index}]: expected a string, got {text!r} ({type(text).__name__})'
            )
        if not text.strip():
            raise UserError(
                f'texts[{index}]: expected words that describe an object, got the blank text '
                f'{text!r}; leave out the text of objects without one'
            )
        try:
            text.encode('utf-8')
        except UnicodeEncodeError as error:
            raise UserError(
                f'texts[{index}]: expected valid Unicode, got {text[:_MAX_SHOWN]!r}, whose '
                f'character {error.start} cannot be encoded; decode its bytes as UTF-8'
            ) from None


def tokens_within(text: str, room: int) -> tuple[int, ...]:
    """The first tokens of a phrase; says once per phrase if some did not fit.

    Args:
        text: A phrase that :func:`check_texts` accepts.
        room: Most tokens, those of start and end not counted.

    Raises:
        UserError: If nothing of the phrase can be encoded.
    """
    words = ' '.join(text.split())
    # What cannot fit is cut off before it costs time.
    tokens = text_tokens(words[: MAX_TOKEN_BYTES * (room + 1)])
    if not tokens:
        raise UserError(f'texts: expected words that describe an object, got {text!r}')
    if len(tokens) > room:
        _warn_of_truncation(words, room)
    return tokens[:room]


def warn_of_unknown_words(text: str, room: int, known: Container[int]) -> None:
    """Say which words of a phrase have tokens that are not known; once for the same words.

    Args:
        text: A phrase.
        room: Most tokens that are read, and so the most words.
        known: Tokens.
    """
    words = dict.fromkeys(_shortened(word) for word in text.lower().split()[:room])
    unknown = [word for word in words if not all(token in known for token in text_tokens(word))]
    if unknown:
        _warn_of_words(_shortened(', '.join(unknown)))


@lru_cache(maxsize=256)
def _warn_of_words(words: str) -> None:
    print_log(
        f'this model was not taught the words {words!r} and takes them for any words; describe the '
        'object in others',
        logger='current',
        level=logging.WARNING,
    )


def _shortened(words: str) -> str:
    return words if len(words) <= _MAX_SHOWN else f'{words[:_MAX_SHOWN]}...'


@lru_cache(maxsize=256)
def _warn_of_truncation(words: str, room: int) -> None:
    print_log(
        f'text {_shortened(words)!r} is too long for this model and is cut after {room} tokens; '
        'describe the object in fewer words',
        logger='current',
        level=logging.WARNING,
    )
