"""One stage of the kernel decoder."""

from __future__ import annotations

from typing import NamedTuple

from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders.context_attention import ContextAttention
from seg.models.decoders.layers import check_num_heads, mlp
from seg.models.decoders.pooling import draw_masks
from seg.registry import MODELS


class StagePrediction(NamedTuple):
    """What one stage, or an adapter, says about its queries.

    Attributes:
        queries: (B, Q, C), input of the next stage.
        mask_logits: (B, Q, T, h, w).
        class_embeddings: What a classifier turns into class logits, (B, Q, D); ``None`` from an
            adapter that leaves classes to the last stage.
        iou_logits: (B, Q); ``None`` from an adapter that leaves quality to the last stage.
    """

    queries: Tensor
    mask_logits: Tensor
    class_embeddings: Tensor | None
    iou_logits: Tensor | None


@MODELS.register_module()
class DecoderStage(BaseModule):
    """Pool under the masks, update the queries, let them talk, and predict anew.

    Args:
        feat_channels: Width C.
        embed_channels: Width D of the class embedding.
        updater: The query update, for example :class:`KernelUpdater`.
        pooling: What is pooled under a mask, for example :class:`HardMaskSumPooling`.
        num_heads: Attention heads, a divisor of C.
        ffn_channels: Hidden width of the feed-forward network.
        context_attention: Whether queries read the coarse context features before they are
            updated, through :class:`ContextAttention`.
        shape_encoder: What adds the outline of a query's mask to the query, for example
            :class:`MaskShapeEncoder`; none in the published model.
        faithful_init: Truncated normal (std 0.02) for all linear layers, as in the public model.

    Raises:
        ValueError: If ``num_heads`` does not divide C.
    """

    def __init__(
        self,
        feat_channels: int,
        embed_channels: int,
        *,
        updater: dict,
        pooling: dict,
        num_heads: int = 8,
        ffn_channels: int = 2048,
        context_attention: bool = False,
        shape_encoder: dict | None = None,
        faithful_init: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        check_num_heads('DecoderStage', num_heads, feat_channels)
        width = feat_channels
        self.pooling = MODELS.build(pooling)
        self.context_attn = ContextAttention(width, num_heads) if context_attention else None
        self.kernel_update = MODELS.build(dict(feat_channels=width, **updater))
        self.shape_encoder = build_shape_encoder(shape_encoder, width)
        self.self_attn = nn.MultiheadAttention(width, num_heads, batch_first=True)
        self.self_attn_norm = nn.LayerNorm(width)
        self.ffn = mlp(width, ffn_channels, width, num_layers=2)
        self.ffn_norm = nn.LayerNorm(width)
        self.class_fc = nn.Linear(width, width, bias=False)
        self.class_norm = nn.LayerNorm(width)
        self.class_mlp = mlp(width, width, embed_channels, num_layers=3)
        self.mask_fc = nn.Linear(width, width, bias=False)
        self.mask_norm = nn.LayerNorm(width)
        self.mask_kernel = nn.Linear(width, width)
        self.iou_mlp = mlp(width, width, 1, num_layers=3)
        if faithful_init:
            self.apply(_trunc_normal_linear)

    @property
    def needs_context(self) -> bool:
        """Whether the stage reads the neck's context features."""
        return self.context_attn is not None

    def forward(
        self,
        queries: Tensor,
        mask_logits: Tensor,
        mask_features: Tensor,
        *,
        context_feats: Tensor | None = None,
        attn_mask: Tensor | None = None,
    ) -> StagePrediction:
        """Run the stage.

        Args:
            queries: (B, Q, C).
            mask_logits: Masks of the previous stage, (B, Q, T, h, w).
            mask_features: (B, T, C, h, w).
            context_feats: (B, T, C, h', w'); needed with ``context_attention``.
            attn_mask: True where query i must not attend to query j, (B, Q, Q).
        """
        pooled = self.pooling(mask_logits, mask_features)
        if self.context_attn is not None:
            assert context_feats is not None, 'RapSAM checks that the neck gives context'
            queries = self.context_attn(queries, context_feats)
        queries = self.kernel_update(pooled, queries)
        if self.shape_encoder is not None:
            queries = queries + self.shape_encoder(mask_logits)
        queries = self._attend(queries, attn_mask)
        queries = self.ffn_norm(queries + self.ffn(queries))
        class_feats = self.class_norm(self.class_fc(queries)).relu()
        mask_feats = self.mask_norm(self.mask_fc(queries)).relu()
        return StagePrediction(
            queries=queries,
            mask_logits=draw_masks(self.mask_kernel(mask_feats), mask_features),
            class_embeddings=self.class_mlp(class_feats),
            iou_logits=self.iou_mlp(mask_feats).squeeze(-1),
        )

    def _attend(self, queries: Tensor, attn_mask: Tensor | None) -> Tensor:
        if not queries.shape[1]:
            attn_mask = None  # PyTorch cannot view an attention mask without elements
        if attn_mask is not None:
            attn_mask = attn_mask.repeat_interleave(self.self_attn.num_heads, dim=0)
        attended, _ = self.self_attn(
            queries, queries, queries, attn_mask=attn_mask, need_weights=False
        )
        return self.self_attn_norm(queries + attended)


def build_shape_encoder(settings: dict | None, feat_channels: int) -> nn.Module | None:
    """The encoder that settings ask for, if any."""
    if settings is None:
        return None
    return MODELS.build({'feat_channels': feat_channels, **settings})


def _trunc_normal_linear(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
