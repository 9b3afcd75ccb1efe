"""Task adapters: the last prediction, made by a small module of the task's own."""

from __future__ import annotations

from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders.decoder_stage import StagePrediction, build_shape_encoder
from seg.models.decoders.layers import attend, check_num_heads
from seg.models.decoders.pooling import draw_masks
from seg.registry import MODELS


@MODELS.register_module()
class ObjectAdapter(BaseModule):
    """Final prediction for objects that the model finds itself: one more dynamic update.

    Args:
        feat_channels: Width C.
        embed_channels: Width D of the class embedding.
        updater: The query update.
        pooling: What is pooled under a mask.
        shape_encoder: As in :class:`DecoderStage`.
    """

    def __init__(
        self,
        feat_channels: int,
        embed_channels: int,
        *,
        updater: dict,
        pooling: dict,
        shape_encoder: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.pooling = MODELS.build(pooling)
        self.kernel_update = MODELS.build(dict(feat_channels=feat_channels, **updater))
        self.shape_encoder = build_shape_encoder(shape_encoder, feat_channels)
        self.class_proj = nn.Linear(feat_channels, embed_channels)

    def forward(self, last: StagePrediction, mask_features: Tensor) -> StagePrediction:
        """Refine the last stage's prediction; features are (B, T, C, h, w)."""
        pooled = self.pooling(last.mask_logits, mask_features)
        queries = self.kernel_update(pooled, last.queries)
        if self.shape_encoder is not None:
            queries = queries + self.shape_encoder(last.mask_logits)
        return StagePrediction(
            queries=queries,
            mask_logits=draw_masks(queries, mask_features),
            class_embeddings=self.class_proj(queries),
            iou_logits=None,
        )


@MODELS.register_module()
class PromptAdapter(BaseModule):
    """Final prediction for prompted objects: attention to every pixel, and a quality estimate.

    Args:
        feat_channels: Width C.
        num_heads: Attention heads, a divisor of C.

    Raises:
        ValueError: If ``num_heads`` does not divide C.
    """

    def __init__(
        self, feat_channels: int, *, num_heads: int = 8, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_num_heads('PromptAdapter', num_heads, feat_channels)
        self.pixel_attn = nn.MultiheadAttention(feat_channels, num_heads, batch_first=True)
        self.norm = nn.LayerNorm(feat_channels)
        self.iou_proj = nn.Linear(feat_channels, 1)

    def forward(self, last: StagePrediction, mask_features: Tensor) -> StagePrediction:
        """Refine the last stage's prediction; features are (B, T, C, h, w)."""
        pixels = mask_features.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (B, T*h*w, C)
        queries = self.norm(last.queries + attend(self.pixel_attn, last.queries, pixels, pixels))
        return StagePrediction(
            queries=queries,
            mask_logits=draw_masks(queries, mask_features),
            class_embeddings=None,
            iou_logits=self.iou_proj(queries).squeeze(-1),
        )
