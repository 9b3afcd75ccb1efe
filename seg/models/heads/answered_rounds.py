"""Answers to prompts, round by round or frame by frame, and their losses together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.heads.asked_objects import AskedObjects
from seg.models.losses import SegmentCriterion, Targets
from seg.models.prompts import text_visual_loss
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
    """

    outputs: Sequence[StageOutput]
    num_tokens: int
    chosen: Sequence[Targets]
    every: Sequence[Targets]


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
        raw = criterion(answered.outputs, answered.chosen, wanted - {'iou'}, averages)
        if 'iou' in wanted:
            raw |= criterion(answered.outputs, answered.every, frozenset({'iou'}), qualities)
        for name, value in raw.items():
            total[name] = total[name] + value if name in total else value
    return total


def meaning_losses(
    head: RapSAMVideoHead,
    asked: AskedObjects,
    wanted: frozenset[str],
    mask_features: Tensor,
    *,
    covers: Sequence[Tensor],
    rows: Sequence[Tensor],
    targets: Sequence[Targets],
    averages: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """Losses between prompts and objects as wholes.

    Args:
        head: Whose losses they are.
        asked: The encoded prompts; those of each clip come first among its rows.
        wanted: Names of the losses to compute.
        mask_features: (B, T, C, h, w).
        covers: Coverage of all segments of each clip on the grid, (S, T, h, w).
        rows: Segment that each prompt means, B tensors (n,).
        targets: One row per prompt.
        averages: Counts averaged over processes.
    """
    raw: dict[str, Tensor] = {}
    queries = asked.queries
    if 'prompt_align' in wanted and head.prompt_alignment is not None:
        total = head.prompt_alignment.loss(queries.objects, mask_features, covers, rows)
        raw['prompt_align'] = total / averages['prompts'].clamp(min=1)
    matches, found = asked.matches, asked.found
    if 'text_visual' in wanted and matches is not None and found is not None:
        total = mask_features.new_zeros(())
        for i, target in enumerate(targets):
            texts = queries.is_text_alone[i, : len(target.labels)]
            ious = _grid_ious(target.masks[texts], found.mask_logits[i])
            scores = matches.scores[i, : len(target.labels)][texts]
            total = total + text_visual_loss(scores, ious)
        raw['text_visual'] = total / averages['texts'].clamp(min=1)
    return raw


def covers_of(masks: Tensor, size: Sequence[int]) -> Tensor:
    """Share of each cell that masks (N, T, H, W) cover, (N, T, h, w)."""
    if not len(masks):
        return masks.new_zeros(0, masks.shape[1], *size, dtype=torch.float32)
    return F.adaptive_avg_pool2d(masks.float(), (size[0], size[1]))


def _grid_ious(masks: Tensor, mask_logits: Tensor) -> Tensor:
    """IoU of true masks (M, T, H, W) and found ones (Q, T, h, w) on the grid, (M, Q)."""
    truth = (covers_of(masks, mask_logits.shape[-2:]) > 0.5).flatten(1).float()
    found = (mask_logits > 0).flatten(1).float()
    overlap = truth @ found.T
    union = truth.sum(dim=1, keepdim=True) + found.sum(dim=1) - overlap
    return overlap / union.clamp(min=1)
