"""Two answers about one frame that refine each other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.registry import MODELS

_MAX_LOGIT = 8.0


class PathPrediction(NamedTuple):
    """What one path says about N objects on one frame.

    Attributes:
        mask_logits: (N, h, w).
        queries: (N, C).
        confidence: How sure the path is of its mask, (N,), in [0, 1].
    """

    mask_logits: Tensor
    queries: Tensor
    confidence: Tensor


@MODELS.register_module()
class DualPathRefinement(nn.Module):
    """Dual-path self-refinement: what memory propagates and what is found again in the frame.

    In training both paths are drawn to each other, the surer one of each object being the teacher.
    In inference the masks become one. One path drifts and the other confuses what looks alike; the
    network learns to say which of them is right. What was propagated counts until the other path
    is surer by a margin: the mean of two good masks is no better than either, and things seldom
    jump.

    Args:
        feat_channels: Width C.
        margin: Lead in confidence at which both paths weigh the same.
        contrast: How fast the weights change with the lead.
        certain: Confidence of what was propagated from which on nothing is found anew in
            inference: a lead of the margin over it is out of reach or nearly so. 1 finds
            anew all that memory is not wholly sure of.

    Raises:
        ValueError: If the margin is not in [0, 1), the contrast not positive, or the confidence
            not in (0, 1].
    """

    def __init__(
        self,
        feat_channels: int,
        *,
        margin: float = 0.3,
        contrast: float = 20.0,
        certain: float = 0.75,
    ) -> None:
        super().__init__()
        if not 0 < certain <= 1:
            raise ValueError(
                f'DualPathRefinement.certain: expected a number in (0, 1], got {certain}'
            )
        if not 0 <= margin < 1:
            raise ValueError(
                f'DualPathRefinement.margin: expected a number in [0, 1), got {margin}'
            )
        if contrast <= 0:
            raise ValueError(
                f'DualPathRefinement.contrast: expected a number above 0, got {contrast}'
            )
        self.margin = margin
        self.contrast = contrast
        self.certain = certain
        self.path_embed = nn.Parameter(torch.zeros(feat_channels))

    def mark(self, queries: Tensor) -> Tensor:
        """Tell the queries (..., C) of the second path that they are."""
        return queries + self.path_embed

    def is_unsure(self, propagated: Tensor) -> Tensor:
        """Where what was propagated with confidences (N,) needs a second path, (N,), bool."""
        return propagated < self.certain

    def weigh(self, propagated: Tensor, redetected: Tensor) -> Tensor:
        """Weights of the paths by their confidences (N,); (2, N), which add up to 1."""
        lead = redetected - propagated - self.margin
        return torch.stack([-lead, lead]).mul(self.contrast).sigmoid()

    def fuse(self, propagated: PathPrediction, redetected: PathPrediction) -> PathPrediction:
        """One answer of two, each with its weight."""
        paths = (propagated, redetected)
        weights = self.weigh(propagated.confidence, redetected.confidence)
        logits = torch.stack([path.mask_logits.clamp(-_MAX_LOGIT, _MAX_LOGIT) for path in paths])
        queries = torch.stack([path.queries for path in paths])
        confidence = torch.stack([path.confidence for path in paths])
        return PathPrediction(
            mask_logits=(weights[..., None, None].to(logits) * logits).sum(dim=0),
            queries=(weights[..., None].to(queries) * queries).sum(dim=0),
            confidence=(weights.to(confidence) * confidence).sum(dim=0),
        )

    def loss(self, propagated: PathPrediction, redetected: PathPrediction) -> Tensor:
        """How far the less sure path of each object is from the surer one, (N,), in [0, 3].

        The squared Dice distance of the masks (zero where they are equal) and one minus the cosine
        of the queries; no gradient reaches the surer side.
        """
        first_is_sure = (propagated.confidence >= redetected.confidence).detach()
        masks, queries = [], []
        for path, is_teacher in ((propagated, first_is_sure), (redetected, ~first_is_sure)):
            masks.append(_held(path.mask_logits.float().sigmoid(), is_teacher))
            queries.append(_held(path.queries.float(), is_teacher))
        apart = 1 - F.cosine_similarity(queries[0], queries[1], dim=-1)
        return mask_distance(masks[0], masks[1]) + apart


def mask_distance(first: Tensor, second: Tensor) -> Tensor:
    """Dice distance of soft masks (N, h, w) with squares below, (N,), in [0, 1]; 0 where equal."""
    first, second = first.flatten(1), second.flatten(1)
    overlap = (first * second).sum(dim=1)
    total = first.square().sum(dim=1) + second.square().sum(dim=1)
    return 1 - (2 * overlap + 1) / (total + 1)


def _held(values: Tensor, still: Tensor) -> Tensor:
    """Values (N, ...) without gradient in the rows where ``still`` (N,) says so."""
    chosen = still.view(-1, *[1] * (values.ndim - 1))
    return torch.where(chosen, values.detach(), values)
