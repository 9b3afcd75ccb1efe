"""Where the queries of objects that nobody prompted come from."""

from __future__ import annotations

from typing import NamedTuple

from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders.decoder_stage import StagePrediction
from seg.models.decoders.layers import mlp
from seg.models.decoders.pooling import draw_masks
from seg.models.prompts.positional import sine_grid
from seg.registry import MODELS


class ObjectQueries(NamedTuple):
    """Queries to decode.

    Attributes:
        queries: (B, Q, C).
        proposals: Prediction of all candidates that the queries were chosen from, trained like a
            stage; ``None`` where nothing was chosen.
    """

    queries: Tensor
    proposals: StagePrediction | None


@MODELS.register_module()
class LearnedQueries(nn.Embedding):
    """The same learned queries for every picture, as published.

    Args:
        num_queries: Q.
        feat_channels: Width C.
        embed_channels: Width of class embeddings; makes no difference here.
    """

    def __init__(self, num_queries: int, feat_channels: int, embed_channels: int) -> None:
        super().__init__(num_queries, feat_channels)

    def forward(  # type: ignore[override]
        self, mask_features: Tensor, context_feats: Tensor | None, classifier: nn.Module
    ) -> ObjectQueries:
        """Queries for a batch; only its size matters."""
        return ObjectQueries(self.weight.expand(len(mask_features), -1, -1), None)


@MODELS.register_module()
class ProposedQueries(BaseModule):
    """The most promising places of the coarse features become queries.

    Every place proposes a class and a mask and is trained like a decoder stage, so the decoder
    starts at objects instead of having to find them; from scratch this is many times faster
    than learned queries. After the two-stage variant of Zhu et al., "Deformable DETR",
    ICLR 2021, section 4.2.

    Args:
        num_queries: Places Q that are kept; fewer where the picture has fewer.
        feat_channels: Width C.
        embed_channels: Width D of class embeddings.
    """

    needs_context = True

    def __init__(
        self,
        num_queries: int,
        feat_channels: int,
        embed_channels: int,
        *,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.num_queries = num_queries
        self.content_mlp = mlp(feat_channels, feat_channels, feat_channels, num_layers=2)
        self.norm = nn.LayerNorm(feat_channels)
        self.class_proj = nn.Linear(feat_channels, embed_channels)
        self.mask_kernel = nn.Linear(feat_channels, feat_channels)

    def forward(
        self, mask_features: Tensor, context_feats: Tensor | None, classifier: nn.Module
    ) -> ObjectQueries:
        """Propose everywhere and keep the best.

        Args:
            mask_features: (B, T, C, h, w).
            context_feats: (B, T, C, h', w'), required.
            classifier: Class embeddings to logits, for ranking the places.
        """
        assert context_feats is not None, 'RapSAM checks that the neck gives context'
        num_frames, channels = context_feats.shape[1:3]
        places = context_feats.permute(0, 1, 3, 4, 2).flatten(1, 3)  # (B, T*h'*w', C)
        code = sine_grid(context_feats.shape[-2:], channels, context_feats.device)
        content = self.norm(self.content_mlp(places + code.to(places).repeat(num_frames, 1)))
        proposals = StagePrediction(
            queries=content,
            mask_logits=draw_masks(self.mask_kernel(content), mask_features),
            class_embeddings=self.class_proj(content),
            iou_logits=None,
        )
        best = self._best(classifier(proposals.class_embeddings, final=False))
        index = best.unsqueeze(-1).expand(-1, -1, channels)
        return ObjectQueries(content.gather(1, index), proposals)

    def _best(self, class_logits: Tensor) -> Tensor:
        """Places least likely to be "no object", (B, Q)."""
        void = class_logits.detach().float().softmax(dim=-1)[..., -1]
        count = min(self.num_queries, void.shape[1])
        return void.topk(count, dim=1, largest=False).indices
