"""Two answers about one frame that refine each other."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.registry import MODELS

_MAX_LOGIT = 8.0
_LEAST_CONFIDENCE = 1e-3


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
    In inference the masks become one, each weighted by its path's confidence. One path drifts and
    the other confuses what looks alike; the network learns to say which of them is right.

    Args:
        feat_channels: Width C.
        contrast: Exponent of the confidence in the weights; larger ones trust the surer path more.

    Raises:
        ValueError: If the exponent is not positive.
    """

    def __init__(self, feat_channels: int, *, contrast: float = 2.0) -> None:
        super().__init__()
        if contrast <= 0:
            raise ValueError(
                f'DualPathRefinement.contrast: expected a number above 0, got {contrast}'
            )
        self.contrast = contrast
        self.path_embed = nn.Parameter(torch.zeros(feat_channels))

    def mark(self, queries: Tensor) -> Tensor:
        """Tell the queries (..., C) of the second path that they are."""
        return queries + self.path_embed

    def fuse(self, propagated: PathPrediction, redetected: PathPrediction) -> PathPrediction:
        """One answer of two; the confidence is that of the surer path."""
        paths = (propagated, redetected)
        sure = torch.stack([path.confidence.clamp(min=_LEAST_CONFIDENCE) for path in paths])
        weights = sure**self.contrast
        weights = (weights / weights.sum(dim=0)).to(propagated.mask_logits)
        logits = torch.stack([path.mask_logits.clamp(-_MAX_LOGIT, _MAX_LOGIT) for path in paths])
        queries = torch.stack([path.queries for path in paths])
        return PathPrediction(
            mask_logits=(weights[..., None, None] * logits).sum(dim=0),
            queries=(weights[..., None].to(queries) * queries).sum(dim=0),
            confidence=torch.maximum(propagated.confidence, redetected.confidence),
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
