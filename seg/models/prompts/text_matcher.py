"""Which of the found objects a text speaks about."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders.extents import mask_extents
from seg.models.decoders.layers import check_num_heads, mlp
from seg.models.decoders.pooling import SoftMaskMeanPooling
from seg.models.prompts.positional import sine_encoding
from seg.models.prompts.texts import TextWords
from seg.registry import MODELS
from seg.structures import StageOutput


class TextMatches(NamedTuple):
    """What a matcher returns; Q found objects.

    Attributes:
        scores: How well each object fits each text, (B, N, Q), logits.
        contents: What the fitting objects look like, (B, N, C).
        mask_logits: Mask of the best object, (B, N, T, h, w), without gradient.
    """

    scores: Tensor
    contents: Tensor
    mask_logits: Tensor


@MODELS.register_module()
class TextMatcher(BaseModule):
    """Reads each text together with all objects found in the picture.

    "The large red star left of the disc" says nothing about a pixel alone; it compares objects.
    So the objects of the panoptic path become tokens (query, features under the mask, place and
    extent), which talk to each other and look up the words of the text in a small transformer
    decoder; a softmax over objects chooses. Gradients reach the features, but not the queries and
    masks of the objects.

    Args:
        feat_channels: Width C.
        num_heads: Attention heads, a divisor of C.
        num_layers: Transformer layers.
    """

    def __init__(
        self,
        feat_channels: int,
        *,
        num_heads: int = 8,
        num_layers: int = 2,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_num_heads('TextMatcher', num_heads, feat_channels)
        width = feat_channels
        self.num_feats = width // 4
        self.pooling = SoftMaskMeanPooling()
        self.query_norm = nn.LayerNorm(width)
        self.object_proj = mlp(2 * width, 2 * width, width, num_layers=2)
        self.place_proj = nn.Linear(4 * self.num_feats, width)
        layer = nn.TransformerDecoderLayer(
            width, num_heads, 2 * width, dropout=0.0, batch_first=True, norm_first=True
        )
        self.layers = nn.TransformerDecoder(layer, num_layers, norm=nn.LayerNorm(width))
        self.score_proj = nn.Linear(width, 1)
        self.content_proj = nn.Linear(width, width)

    def forward(self, texts: TextWords, objects: StageOutput, mask_features: Tensor) -> TextMatches:
        """Match texts and objects.

        Args:
            texts: The words of N texts per clip, (B, N, L, C); all objects fit a row without
                words equally badly.
            objects: The found objects' last prediction, Q queries.
            mask_features: (B, T, C, h, w).
        """
        queries, masks = objects.queries.detach(), objects.mask_logits.detach()
        words = texts.embeddings.to(mask_features)
        pooled = self.pooling(masks, mask_features).to(words)
        looks = self.object_proj(torch.cat([self.query_norm(queries.to(words)), pooled], dim=-1))
        tokens = looks + self.place_proj(self._places(masks).to(words))
        scores = self._scores(words, texts.said.to(words.device), tokens)
        contents = scores.softmax(dim=-1) @ self.content_proj(tokens)
        index = scores.argmax(dim=-1)[..., None, None, None].expand(-1, -1, *masks.shape[2:])
        return TextMatches(scores.float(), contents, masks.gather(1, index))

    def _scores(self, words: Tensor, said: Tensor, tokens: Tensor) -> Tensor:
        """Every object of tokens (B, Q, C) with every text, (B, N, Q), of which some are empty."""
        empty = words.new_zeros(*said.shape[:2], tokens.shape[1])
        clips, rows = said.any(dim=-1).nonzero(as_tuple=True)
        if not len(rows):
            return empty
        read = self.layers(
            tokens[clips], words[clips, rows], memory_key_padding_mask=~said[clips, rows]
        )
        scores = self.score_proj(read).squeeze(-1)
        return empty.index_put((clips, rows), scores.to(empty))

    def _places(self, masks: Tensor) -> Tensor:
        """Sine code of centre and extent on the first frame, (B, Q, 4 * num_feats)."""
        height, width = masks.shape[-2:]
        x1, y1, x2, y2 = mask_extents(masks[:, :, 0] > 0).unbind(-1)
        place = [(y1 + y2) / 2 / height, (x1 + x2) / 2 / width]
        extent = [(x2 - x1) / width, (y2 - y1) / height]
        return sine_encoding(torch.stack([*place, *extent], dim=-1), self.num_feats)


def text_visual_loss(
    scores: Tensor, ious: Tensor, min_iou: float = 0.4, tolerance: float = 0.1
) -> Tensor:
    """Contrastive loss between texts and the objects of their pictures; sum over texts.

    An object may be found several times; whichever of these a text chooses is right.

    Args:
        scores: Of M texts and Q objects, (M, Q), logits.
        ious: IoU of each object with what each text means, (M, Q).
        min_iou: Texts whose object was not found that well do not count.
        tolerance: How far below the best IoU an object is still right.
    """
    best = ious.amax(dim=1, keepdim=True)
    wrong = ious < best - tolerance
    chances = scores.float().log_softmax(dim=1).masked_fill(wrong, -math.inf)
    found = best.squeeze(1) >= min_iou
    return -chances[found].logsumexp(dim=1).sum()
