"""Answers of memory and answers found anew, as one."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from seg.models.heads.clip_frame import FrameAnswer
from seg.models.refinement import DualPathRefinement, PathPrediction


class _Parts(NamedTuple):
    """Those parts of a :class:`FrameAnswer` that two paths are joined in, (B, N, ...)."""

    mask_logits: Tensor
    queries: Tensor
    scores: Tensor
    iou_scores: Tensor


def with_second_rows(
    answer: FrameAnswer, rows: Tensor, refinement: DualPathRefinement
) -> FrameAnswer:
    """The answer about some objects joined with that in the rows of the second path.

    Args:
        answer: With both paths.
        rows: The objects that change, (B, N), bool.
        refinement: How both are joined.
    """
    qualities, n = answer.outputs[-1].iou_logits, answer.num_objects
    assert qualities is not None, 'prompted objects need a quality estimate'
    second_scores = (answer.score_logits[:, n:] + answer.score_shift).sigmoid()
    joined = _joined(
        (answer.path(0), answer.path(1)),
        torch.stack([answer.scores, second_scores]),
        torch.stack([answer.iou_scores, qualities[:, n:].clamp(0, 1)]),
        refinement,
    )
    return _replaced(answer, rows, joined)


def with_second_answer(
    answer: FrameAnswer,
    again: FrameAnswer,
    index: Tensor,
    unsure: Tensor,
    refinement: DualPathRefinement,
) -> FrameAnswer:
    """The answer joined with another one about some of its objects.

    Args:
        answer: Of the first path, about N objects.
        again: Of the second path, about R of them.
        index: Which those are, (R,), int64.
        unsure: The objects that change, (B, N), bool; all are among the R.
        refinement: How both are joined.
    """
    shape = unsure.shape
    kept = PathPrediction(
        *(value.unflatten(0, shape)[:, index].flatten(0, 1) for value in answer.path(0))
    )
    joined = _joined(
        (kept, again.path(0)),
        torch.stack([answer.scores[:, index], again.scores]),
        torch.stack([answer.iou_scores[:, index], again.iou_scores]),
        refinement,
    )
    spread = _Parts(
        *(
            own.index_copy(1, index, value.to(own))
            for own, value in zip(_parts(answer), joined, strict=True)
        )
    )
    return _replaced(answer, unsure, spread)


def _joined(
    paths: tuple[PathPrediction, PathPrediction],
    scores: Tensor,
    qualities: Tensor,
    refinement: DualPathRefinement,
) -> _Parts:
    """What both paths say together.

    Args:
        paths: Of B * N objects.
        scores: (2, B, N).
        qualities: (2, B, N).
        refinement: How.
    """
    fused, shape = refinement.fuse(*paths), scores.shape[1:]
    weights = refinement.weigh(*(path.confidence for path in paths)).unflatten(1, shape)
    return _Parts(
        fused.mask_logits.unflatten(0, shape),
        fused.queries.unflatten(0, shape),
        (weights * scores).sum(dim=0),
        (weights * qualities).sum(dim=0),
    )


def _parts(answer: FrameAnswer) -> _Parts:
    return _Parts(*(getattr(answer, name) for name in _Parts._fields))


def _replaced(answer: FrameAnswer, rows: Tensor, other: _Parts) -> FrameAnswer:
    """An answer with other parts in some rows (B, N)."""
    parts: dict[str, Any] = {}
    for name, own, value in zip(_Parts._fields, _parts(answer), other, strict=True):
        wide = rows.view(*rows.shape, *[1] * (own.ndim - 2))
        parts[name] = torch.where(wide, value.to(own), own)
    return answer._replace(**parts)
