"""Masks of prompted objects before they are chosen from: candidates and their ranking."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from seg.structures.prompts import Prompts

Candidates = Literal['single', 'multi', 'all']
"""Masks computed for a prompt: the one for clear prompts, the several for ambiguous ones, or all of
them, that one first."""

Ranking = Literal['auto', 'single', 'multi']
"""Masks used of a prompt: the best of several for a single click and the one for clear prompts
otherwise, always the one for clear prompts, or always the several, best first."""

TOKENS: dict[Candidates, slice] = {
    'single': slice(0, 1),
    'multi': slice(1, None),
    'all': slice(0, None),
}
"""Where these masks are among all that a decoder knows."""

RANKINGS = ('auto', 'single', 'multi')


class PromptedMasks(NamedTuple):
    """Masks of the N prompts of one image.

    Attributes:
        mask_logits: M candidates per prompt, (N, M, h, w), on the padded canvas at the model's own
            stride.
        iou_scores: Predicted quality of each, before clamping to [0, 1], (N, M).
    """

    mask_logits: Tensor
    iou_scores: Tensor


def is_ambiguous(prompts: Prompts) -> Tensor:
    """Which rows are a single click and nothing else, (N,), bool."""
    clicks = (prompts.point_labels >= 0).sum(dim=1)
    return (clicks == 1) & ~prompts.has_box & ~prompts.has_mask


def candidates_for(prompts: Sequence[Prompts], ranking: Ranking) -> Candidates:
    """The fewest candidates from which every row of a batch can be served.

    Args:
        prompts: One set per image, at least one row in all.
        ranking: What is wanted of them.
    """
    if ranking != 'auto':
        return ranking
    ambiguous = torch.cat([is_ambiguous(rows) for rows in prompts])
    if bool(ambiguous.all()):
        return 'multi'
    return 'all' if bool(ambiguous.any()) else 'single'


def usable_candidates(prompts: Prompts, ranking: Ranking, count: int) -> Tensor:
    """Which of all candidates may be used for each row.

    Args:
        prompts: N rows.
        ranking: The rule.
        count: Number of candidates M, that for clear prompts first.

    Returns:
        (N, M), bool.
    """
    device = prompts.point_labels.device
    if ranking == 'auto':
        several = is_ambiguous(prompts)
    else:
        several = torch.full((len(prompts),), ranking == 'multi', device=device)
    is_first = torch.arange(count, device=device) == 0
    return torch.where(several[:, None], ~is_first, is_first)


def rank_candidates(output: PromptedMasks, prompts: Prompts, ranking: Ranking) -> PromptedMasks:
    """Choose from all candidates.

    Args:
        output: All candidates, that for clear prompts first.
        prompts: The rows they belong to.
        ranking: The rule.
    """
    scores = output.iou_scores
    if ranking == 'multi':
        order = 1 + scores[:, 1:].argsort(dim=1, descending=True, stable=True)
    else:
        order = best_candidate(output, prompts, ranking)[:, None]
    rows = torch.arange(len(scores), device=scores.device)[:, None]
    return PromptedMasks(output.mask_logits[rows, order], scores[rows, order])


def best_candidate(output: PromptedMasks, prompts: Prompts, ranking: Ranking) -> Tensor:
    """The usable candidate of highest predicted quality for each row, (N,), int64."""
    usable = usable_candidates(prompts, ranking, output.iou_scores.shape[1])
    return output.iou_scores.masked_fill(~usable.to(output.iou_scores.device), -torch.inf).argmax(1)
