"""Answers of memory and answers found anew, as one."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seg.models.heads.clip_frame import FrameAnswer
from seg.models.refinement import DualPathRefinement, PathPrediction


class SecondPath(NamedTuple):
    """What the second path says about R of the objects of B clips.

    Attributes:
        objects: Which ones, (R,), int64; all of them if ``None``.
        prediction: About B * R objects.
        scores: How surely each is visible, (B, R), in [0, 1].
        iou_scores: Predicted quality, (B, R), in [0, 1].
    """

    objects: Tensor | None
    prediction: PathPrediction
    scores: Tensor
    iou_scores: Tensor

    @classmethod
    def behind(cls, answer: FrameAnswer, index: Tensor | None) -> SecondPath:
        """That in the last rows of an answer."""
        qualities, n = answer.outputs[-1].iou_logits, answer.num_objects
        assert qualities is not None, 'prompted objects need a quality estimate'
        shift = _chosen(answer.score_shift, index)
        scores = (answer.score_logits[:, n:] + shift).sigmoid()
        return cls(index, answer.path(1), scores, qualities[:, n:].clamp(0, 1))

    @classmethod
    def alone(cls, answer: FrameAnswer, index: Tensor) -> SecondPath:
        """That in an answer about nothing else."""
        return cls(index, answer.path(0), answer.scores, answer.iou_scores)


class _Parts(NamedTuple):
    """Those parts of a :class:`FrameAnswer` that two paths are joined in, (B, N, ...)."""

    mask_logits: Tensor
    queries: Tensor
    scores: Tensor
    iou_scores: Tensor


def with_second_path(
    answer: FrameAnswer, second: SecondPath, refinement: DualPathRefinement
) -> FrameAnswer:
    """The answer joined with the second path about those objects that memory is unsure of.

    Args:
        answer: About N objects.
        second: About R of them; unsure ones that it says nothing about stay as they are.
        refinement: How both are joined.
    """
    index, shape = second.objects, answer.unsure.shape
    first = PathPrediction(
        *(_chosen(value.unflatten(0, shape), index).flatten(0, 1) for value in answer.path(0))
    )
    fused = refinement.fuse(first, second.prediction)
    weights = refinement.weigh(first.confidence, second.prediction.confidence)
    weights = weights.unflatten(1, second.scores.shape)
    scores = torch.stack([_chosen(answer.scores, index), second.scores])
    qualities = torch.stack([_chosen(answer.iou_scores, index), second.iou_scores])
    joined = _Parts(
        fused.mask_logits.unflatten(0, second.scores.shape),
        fused.queries.unflatten(0, second.scores.shape),
        (weights * scores).sum(dim=0),
        (weights * qualities).sum(dim=0),
    )
    parts: dict[str, Any] = {}
    for name, value in joined._asdict().items():
        own = getattr(answer, name)
        spread = value.to(own)
        if index is not None:
            spread = own.index_copy(1, index, spread)
        unsure = answer.unsure.view(*shape, *[1] * (own.ndim - 2))
        parts[name] = torch.where(unsure, spread, own)
    return answer._replace(**parts)


def _chosen(values: Tensor, index: Tensor | None) -> Tensor:
    """Some objects, or all, of values (B, N, ...)."""
    return values if index is None else values.index_select(1, index)
