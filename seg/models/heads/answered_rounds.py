"""Answers to prompts, round by round or frame by frame, and their losses together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.decoders import Sharpen
from seg.models.heads.asked_objects import AskedObjects
from seg.models.losses import SegmentCriterion, Targets
from seg.structures import StageOutput

if TYPE_CHECKING:
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead


class AnsweredRound(NamedTuple):
    """One round of prompts and answers.

    Attributes:
        outputs: Predictions of all stages.
        num_tokens: Answers per prompted object, the single one first.
        chosen: Targets of the answers that get mask losses.
        every: Targets of all answers, candidates included, for the quality estimate.
        sharpen: Per clip, what brings masks to a finer grid, if there is one.
    """

    outputs: Sequence[StageOutput]
    num_tokens: int
    chosen: Sequence[Targets]
    every: Sequence[Targets]
    sharpen: Sequence[Sharpen] | None = None


def count_rounds(
    criterion: SegmentCriterion, rounds: Sequence[AnsweredRound]
) -> dict[str, Tensor | float]:
    """What the losses of some rounds are divided by, summed over them."""
    counts: dict[str, Tensor | float] = {'qualities': 0.0}
    for answered in rounds:
        counts['qualities'] += sum(len(target.labels) for target in answered.every)
        for name, count in criterion.counts(answered.outputs, answered.chosen).items():
            counts[name] = counts.get(name, 0.0) + count
    return counts


def round_losses(
    criterion: SegmentCriterion,
    rounds: Sequence[AnsweredRound],
    wanted: frozenset[str],
    averages: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Raw losses of the predictions themselves, divided by averaged counts of all rounds."""
    total: dict[str, Tensor] = {}
    qualities = {**averages, 'masks': averages['qualities']}
    for answered in rounds:
        parts = wanted - {'iou'}
        raw = criterion(answered.outputs, answered.chosen, parts, averages, answered.sharpen)
        if 'iou' in wanted:
            raw |= criterion(
                answered.outputs, answered.every, frozenset({'iou'}), qualities, answered.sharpen
            )
        for name, value in raw.items():
            total[name] = total[name] + value if name in total else value
    return total


def alignment_loss(
    head: RapSAMVideoHead,
    asked: AskedObjects,
    wanted: frozenset[str],
    mask_features: Tensor,
    covers: Sequence[Tensor],
    rows: Sequence[Tensor],
    averages: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Loss between prompts and the segments that they mean, if it is wanted.

    Args:
        head: Whose loss it is.
        asked: The encoded prompts; those of each clip come first among its rows.
        wanted: Names of the losses to compute.
        mask_features: (B, T, C, h, w).
        covers: Coverage of all segments of each clip on the grid, (S, T, h, w).
        rows: Segment that each prompt means, B tensors (n,).
        averages: Counts averaged over processes.
    """
    if 'prompt_align' not in wanted or head.prompt_alignment is None:
        return {}
    total = head.prompt_alignment.loss(asked.queries.objects, mask_features, covers, rows)
    return {'prompt_align': total / averages['prompts'].clamp(min=1)}


def covers_of(masks: Tensor, size: Sequence[int]) -> Tensor:
    """Share of each cell that masks (N, T, H, W) cover, (N, T, h, w)."""
    if not len(masks):
        return masks.new_zeros(0, masks.shape[1], *size, dtype=torch.float32)
    return F.adaptive_avg_pool2d(masks.float(), (size[0], size[1]))
