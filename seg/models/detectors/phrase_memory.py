"""Embeddings of phrases: computed once per run, or kept in place of the text encoder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from seg.utils.checks import UserError, unknown_name_message


class PhraseEmbedding(NamedTuple):
    """Phrases as a model reads them.

    Attributes:
        text: (P, L, C).
        valid: Which tokens count, (P, L), bool.
    """

    text: Tensor
    valid: Tensor


Encode = Callable[[Sequence[str]], PhraseEmbedding]


class PhraseMemory:
    """Phrases that were embedded before, one at a time, so that company changes no digit."""

    def __init__(self) -> None:
        self._known: dict[str, PhraseEmbedding] = {}

    def __len__(self) -> int:
        """Number of phrases."""
        return len(self._known)

    def clear(self) -> None:
        """Forget all, because weights, device or precision changed."""
        self._known.clear()

    @torch.no_grad()
    def look_up(self, phrases: Sequence[str], encode: Encode) -> PhraseEmbedding:
        """Embeddings of P >= 1 phrases; those that are new are encoded."""
        for phrase in phrases:
            if phrase not in self._known:
                self._known[phrase] = encode([phrase])
        found = [self._known[phrase] for phrase in phrases]
        return PhraseEmbedding(*(torch.cat(parts) for parts in zip(*found, strict=True)))


class ClosedVocabulary(nn.Module):
    """The embeddings of all phrases that a model without text encoder knows.

    Args:
        phrases: P phrases.
        length: Tokens per phrase.
        width: Channels.
    """

    embeddings: Tensor
    valid: Tensor

    def __init__(self, phrases: Sequence[str], length: int, width: int) -> None:
        super().__init__()
        self.phrases = tuple(dict.fromkeys(phrases))
        count = len(self.phrases)
        self.register_buffer('embeddings', torch.zeros(count, length, width))
        self.register_buffer('valid', torch.zeros(count, length, dtype=torch.bool))

    def look_up(self, phrases: Sequence[str]) -> PhraseEmbedding:
        """Embeddings of some of the phrases.

        Raises:
            UserError: If one is unknown.
        """
        for phrase in phrases:
            if phrase not in self.phrases:
                known = unknown_name_message('phrase', phrase, self.phrases[:20])
                raise UserError(
                    f'{known} This model has no text encoder any more; add the phrase when you '
                    'remove it (model.phrases)'
                )
        rows = torch.tensor([self.phrases.index(phrase) for phrase in phrases])
        rows = rows.to(self.embeddings.device)
        return PhraseEmbedding(self.embeddings[rows], self.valid[rows])
