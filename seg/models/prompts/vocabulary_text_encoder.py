"""A text tower so small that it is trained together with the model that it serves."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor

from ext.open_clip import build_text_tower, vocabulary_tokens
from seg.models.prompts.texts import (
    TextWords,
    check_texts,
    tokens_within,
    warn_of_unknown_words,
)
from seg.registry import MODELS
from seg.utils.checks import UserError

_PADDING, _START, _UNKNOWN, _FIRST = range(4)


@MODELS.register_module()
class VocabularyTextEncoder(BaseModule):
    """Trainable text transformer of open_clip's kind that knows the words of a vocabulary only.

    Phrases are split into tokens by open_clip's tokenizer. Tokens that no word of the vocabulary
    needs share one embedding, which dropping known tokens at random in training gives a sense;
    when they are met outside of training, a warning names the words.
    The rows of the token embedding follow open_clip's order of tokens, so that the order of the
    vocabulary does not matter to a checkpoint.

    Args:
        vocabulary: Words (or phrases) to know, such as
            :data:`seg.datasets.shapes.SHAPES_VOCABULARY`.
        embed_channels: Width of the layers and of the embedding.
        num_layers: Number of layers.
        num_heads: Number of heads; divides ``embed_channels``.
        context_length: Most tokens of a phrase, with those of start and end; longer ones are cut
            with a warning.
        unknown_prob: How likely a token counts as unknown in training, in [0, 1).

    Raises:
        UserError: If the vocabulary holds no words, or a number is out of range.
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        embed_channels: int = 96,
        num_layers: int = 2,
        num_heads: int = 4,
        context_length: int = 24,
        unknown_prob: float = 0.02,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg)
        if not vocabulary:
            raise UserError('vocabulary: expected at least one word, got none')
        check_texts(vocabulary)
        _check_settings(embed_channels, num_layers, num_heads, context_length, unknown_prob)
        tokens = vocabulary_tokens(vocabulary)
        self._rows = {token: row for row, token in enumerate(tokens, start=_FIRST)}
        self._end = _FIRST + len(tokens)
        self.embed_channels = embed_channels
        self.context_length = context_length
        self.unknown_prob = unknown_prob
        self.encoder = build_text_tower(
            self._end + 1,
            embed_channels,
            num_layers=num_layers,
            num_heads=num_heads,
            context_length=context_length,
        )

    def forward(self, texts: Sequence[str]) -> Tensor:
        """Embed phrases.

        Args:
            texts: N phrases; N may be 0.

        Returns:
            (N, embed_channels), float32, not normalised.

        Raises:
            UserError: If a phrase cannot be encoded, see :func:`check_texts`.
        """
        check_texts(texts)
        if not texts:
            return next(self.parameters()).new_zeros(0, self.embed_channels)
        embedding: Tensor = self.encoder(self._token_rows(texts))
        return embedding.float()

    def words(self, texts: Sequence[str]) -> TextWords:
        """Embed every token of N >= 1 phrases; errors as in :meth:`forward`."""
        check_texts(texts)
        embedded, said = self.encoder.words(self._token_rows(texts))
        return TextWords(embedded.float(), said)

    def _token_rows(self, texts: Sequence[str]) -> Tensor:
        """Rows of the token embedding, (N, context_length), int64, on the CPU."""
        rows = torch.full((len(texts), self.context_length), _PADDING)
        room = self.context_length - 2
        for index, text in enumerate(texts):
            tokens = tokens_within(text, room)
            known = [self._rows.get(token, _UNKNOWN) for token in tokens]
            if _UNKNOWN in known and not self.training:
                warn_of_unknown_words(text, room, self._rows)
            rows[index, : len(known) + 2] = torch.tensor([_START, *known, self._end])
        if self.training and self.unknown_prob:
            words = (rows >= _FIRST) & (rows < self._end)
            rows = rows.masked_fill(words & (torch.rand(rows.shape) < self.unknown_prob), _UNKNOWN)
        return rows


def _check_settings(
    embed_channels: int,
    num_layers: int,
    num_heads: int,
    context_length: int,
    unknown_prob: float,
) -> None:
    if min(embed_channels, num_layers, num_heads) < 1 or embed_channels % num_heads:
        raise UserError(
            'embed_channels, num_layers, num_heads: expected positive numbers and a width that '
            f'the heads divide, got {embed_channels}, {num_layers}, {num_heads}'
        )
    if context_length < 3:
        raise UserError(
            f'context_length: expected room for start, a word and end (>= 3), got {context_length}'
        )
    if not 0 <= unknown_prob < 1:
        raise UserError(f'unknown_prob: expected a probability in [0, 1), got {unknown_prob}')
