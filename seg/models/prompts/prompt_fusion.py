"""Everything said about one object, joined into one query."""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders.layers import check_num_heads, mlp, start_at_zero
from seg.models.prompts.texts import TextWords
from seg.registry import MODELS


class PromptKind(IntEnum):
    """Rows of :class:`PromptFusion`'s embedding of kinds; clicks have their own in the encoder."""

    BOX = 0
    MASK = 1
    TEXT = 2


@MODELS.register_module()
class PromptFusion(BaseModule):
    """Joins the prompts of each object; objects never see each other's.

    Tokens of one object attend to each other and their mean is the query. A text is added to
    every token of its object through a gate; an object that has nothing but a text gets a token of
    its own. All residual branches and the gate start at zero, so that a new fusion hands a single
    click through unchanged.

    Args:
        feat_channels: Width C.
        num_heads: Attention heads, a divisor of C.
        dropout: Of attention weights, in [0, 1).
        use_text_encoder: Whether texts are understood.
        text_encoder: Texts to embeddings, such as :class:`TextEncoder` or
            :class:`VocabularyTextEncoder`; needed with ``use_text_encoder``.

    Raises:
        ValueError: If a setting is out of range, or the text encoder is missing or not used.
    """

    def __init__(
        self,
        feat_channels: int,
        *,
        num_heads: int = 8,
        dropout: float = 0.0,
        use_text_encoder: bool = False,
        text_encoder: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_num_heads('PromptFusion', num_heads, feat_channels)
        if not 0 <= dropout < 1:
            raise ValueError(f'PromptFusion.dropout: expected 0 <= dropout < 1, got {dropout}')
        if use_text_encoder != (text_encoder is not None):
            raise ValueError(
                f'PromptFusion.text_encoder: expected one if and only if use_text_encoder is set, '
                f'got use_text_encoder={use_text_encoder} and text_encoder={text_encoder}'
            )
        self.kind_embed = nn.Embedding(len(PromptKind), feat_channels)
        self.attn = nn.MultiheadAttention(feat_channels, num_heads, dropout, batch_first=True)
        self.ffn = mlp(feat_channels, 2 * feat_channels, feat_channels, num_layers=2)
        start_at_zero(self.attn.out_proj)
        start_at_zero(self.ffn[-1])
        self.text_encoder: Any = None
        if text_encoder is not None:
            self.text_encoder = MODELS.build(text_encoder)
            self.text_proj = nn.Linear(self.text_encoder.embed_channels, feat_channels)
            # Words stay as far from each other as the encoder puts them; a default start brings
            # them so close together that what reads them learns nouns and little else.
            nn.init.orthogonal_(self.text_proj.weight)
            nn.init.zeros_(self.text_proj.bias)
            self.text_gate = nn.Parameter(torch.zeros(feat_channels))

    @property
    def understands_text(self) -> bool:
        """Whether there is a text encoder."""
        return self.text_encoder is not None

    def forward(
        self, tokens: Tensor, valid: Tensor, texts: Sequence[Sequence[str | None]]
    ) -> Tensor:
        """Join tokens.

        Args:
            tokens: Encoded points, boxes and masks, (B, N, P, C).
            valid: Which of them exist, (B, N, P), bool.
            texts: Phrase of each row, B sequences of up to N entries.

        Returns:
            One query per object, (B, N, C).
        """
        said = any(text is not None for row in texts for text in row)
        # In training all layers take part, so that processes agree on what has a gradient.
        if self.understands_text and (said or torch.is_grad_enabled()):
            tokens, valid = self._with_texts(tokens, valid, texts)
        batch_size, num_objects, num_tokens, channels = tokens.shape
        if num_tokens == 0 or num_objects == 0:
            return tokens.new_zeros(batch_size, num_objects, channels)
        flat, keep = tokens.flatten(0, 1), valid.flatten(0, 1)
        # Rows that hold nothing attend to their first, unused token, so that none is NaN.
        hidden = ~keep
        hidden[:, 0] &= keep.any(dim=1)
        read, _ = self.attn(flat, flat, flat, key_padding_mask=hidden, need_weights=False)
        weights = keep.unsqueeze(-1).to(flat)
        query = ((flat + read) * weights).sum(dim=1) / weights.sum(dim=1).clamp(min=1)
        return (query + self.ffn(query)).unflatten(0, (batch_size, num_objects))

    def words(self, texts: Sequence[Sequence[str | None]]) -> TextWords:
        """The words of texts in the width of the model.

        Args:
            texts: B sequences of up to N entries, ``None`` for rows without a text.

        Returns:
            Embeddings (B, N, L, C), zero where nothing is said, and where something is.
        """
        places = [(i, j) for i, row in enumerate(texts) for j, t in enumerate(row) if t is not None]
        phrases = [text for row in texts for text in row if text is not None]
        size = len(texts), max(map(len, texts), default=0)
        weight = self.kind_embed.weight
        if not places:
            nothing = weight.new_zeros(*size, 1, weight.shape[0])
            return TextWords(nothing, torch.zeros_like(nothing[..., 0], dtype=torch.bool))
        embedded, said = self.text_encoder.words(phrases)
        projected = self.text_proj(embedded.to(weight)) * said.unsqueeze(-1)
        rows, columns = torch.tensor(places, device=weight.device).T
        return TextWords(
            projected.new_zeros(*size, *projected.shape[1:]).index_put((rows, columns), projected),
            torch.zeros(*size, said.shape[1], dtype=torch.bool, device=weight.device).index_put(
                (rows, columns), said.to(weight.device)
            ),
        )

    def _with_texts(
        self, tokens: Tensor, valid: Tensor, texts: Sequence[Sequence[str | None]]
    ) -> tuple[Tensor, Tensor]:
        """Texts added to the tokens of their objects, or as tokens where there are no others."""
        places = [
            (i, j) for i, row in enumerate(texts) for j, text in enumerate(row) if text is not None
        ]
        phrases = [text for row in texts for text in row if text is not None]
        encoded = self.text_proj(self.text_encoder(phrases).to(tokens)).to(tokens)
        spread = tokens.new_zeros(*tokens.shape[:2], tokens.shape[-1])
        present = torch.zeros_like(valid.any(dim=-1))
        if places:
            rows, columns = torch.tensor(places, device=tokens.device).T
            spread = spread.index_put((rows, columns), encoded)
            present = present.index_put((rows, columns), present.new_ones(()))
        alone = present & ~valid.any(dim=-1)
        gated = tokens + (self.text_gate.tanh() * spread).unsqueeze(2)
        own = spread + self.kind_embed.weight[PromptKind.TEXT]
        return (
            torch.cat([gated, own.unsqueeze(2)], dim=2),
            torch.cat([valid, alone.unsqueeze(-1)], dim=2),
        )
