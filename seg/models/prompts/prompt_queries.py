"""Prompted objects as the decoder takes them."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

import torch
from torch import Tensor

from seg.models.prompts.prompt_maps import WINDOW_LOGIT


class MaskTokens(Enum):
    """Which mask tokens an object's query is combined with."""

    SINGLE = 'single'  # the best answer
    CANDIDATES = 'candidates'  # several answers to an ambiguous prompt
    BOTH = 'both'


class PromptQueries(NamedTuple):
    """Prompted objects as the decoder takes them; N is padded to the batch's largest number.

    Attributes:
        queries: (B, N * M, C), an object's M mask tokens beside each other.
        valid: False for padding, (B, N * M), bool.
        attn_mask: True where query i must not see query j, (B, N * M, N * M), bool; an object's
            tokens of one kind see each other and nothing else.
        num_tokens: M.
        objects: One query per object before mask tokens are added, (B, N, C).
        first_masks: Mask logits that the first stage starts from, (B, N, T, h, w); ``None``
            where all objects start from what their queries draw themselves.
        has_first_mask: For which objects ``first_masks`` counts, (B, N), bool.
        is_text_alone: Objects that only a text describes, (B, N), bool.
        hints: Maps for :class:`MaskRefiner`, (B, N, T, 4, h, w): positive clicks, negative
            clicks, box, last answer or mask prompt.
        texts: Phrase of each object, B sequences of up to N entries.
    """

    queries: Tensor
    valid: Tensor
    attn_mask: Tensor
    num_tokens: int
    objects: Tensor
    first_masks: Tensor | None
    has_first_mask: Tensor
    is_text_alone: Tensor
    hints: Tensor
    texts: Sequence[Sequence[str | None]] = ()

    def texts_alone(self) -> list[list[str | None]]:
        """The texts of objects that have nothing else, ``None`` for the others; B lists of N."""
        return [
            [row[j] if is_alone else None for j, is_alone in enumerate(alone)]
            for row, alone in zip(self.texts, self.is_text_alone.tolist(), strict=True)
        ]

    def with_matches(self, contents: Tensor, mask_logits: Tensor) -> PromptQueries:
        """Let objects that only a text describes start from the found objects that fit.

        Args:
            contents: To add to the queries, (B, N, C).
            mask_logits: (B, N, T, h, w).
        """
        alone = self.is_text_alone
        added = (contents * alone.unsqueeze(-1)).repeat_interleave(self.num_tokens, dim=1)
        here = alone[..., None, None, None]
        windows = mask_logits.clamp(-2 * WINDOW_LOGIT, WINDOW_LOGIT)
        kept = windows if self.first_masks is None else self.first_masks
        return self._replace(
            queries=self.queries + added.to(self.queries),
            first_masks=torch.where(here, windows, kept.to(windows)),
            has_first_mask=self.has_first_mask | alone,
        )

    def first_masks_or(self, drawn: Tensor) -> Tensor:
        """First masks of the objects that have one, else what the queries draw.

        Args:
            drawn: (B, N * M, T, h, w).
        """
        if self.first_masks is None:
            return drawn
        first = self.first_masks.repeat_interleave(self.num_tokens, dim=1)
        known = self.has_first_mask.repeat_interleave(self.num_tokens, dim=1)
        return torch.where(known[..., None, None, None], first.to(drawn), drawn)
