"""Several clicks that are given at once, as a person makes them: one, and the others after it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seg.models.memory import MemoryState
from seg.structures import ClipSample, PointLabel, Prompts, Task

if TYPE_CHECKING:
    from seg.models.heads.clip_frame import Frame
    from seg.models.heads.clip_step import ClipStep
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead


def prompts_in_turn(
    head: RapSAMVideoHead,
    task: Task,
    mask_features: Tensor,
    context_feats: Tensor | None,
    samples: Sequence[ClipSample],
) -> list[Prompts]:
    """The prompts of samples; on images, with answers to the first of several clicks.

    A head that was trained with ``correction_rounds`` knows further clicks only beside an answer.

    Args:
        head: What answers.
        task: Of the samples.
        mask_features: (B, T, C, h, w).
        context_feats: (B, T, C, h', w') or ``None``.
        samples: They are left as they are.
    """
    prompts = [sample.prompts for sample in samples]
    rows = [rows_in_turn(given) for given in prompts]
    takes_turns = task is Task.INTERACTIVE_IMAGE and head.correction_rounds > 0
    if not takes_turns or not any(bool(chosen.any()) for chosen in rows):
        return prompts
    first = [ClipSample(metainfo=sample.metainfo) for sample in samples]
    for sample, given, chosen in zip(first, prompts, rows, strict=True):
        sample.prompts = with_first_points(given, chosen)
    answers = head.predict_prompts(mask_features, context_feats, first)
    return [
        with_answers(given, chosen, answer.pred_prompted.low_res_logits[:, 0])
        for given, chosen, answer in zip(prompts, rows, answers, strict=True)
    ]


def frame_prompts_in_turn(
    step: ClipStep, state: MemoryState, frame: Frame, prompts: Prompts | None
) -> Prompts | None:
    """The prompts on a frame of a clip, with answers to the first of several clicks.

    Of remembered objects the memory's proposal is the answer that clicks correct.

    Args:
        step: What answers.
        state: The memory before the frame.
        frame: The frame.
        prompts: What is said on it, if anything.
    """
    if prompts is None or step.head.correction_rounds == 0:
        return prompts
    remembered = state.object_ids[state.known].to(prompts.object_ids.device)
    chosen = rows_in_turn(prompts) & ~torch.isin(prompts.object_ids, remembered)
    if not bool(chosen.any()):
        return prompts
    answer, (after,) = step([state], frame, [with_first_points(prompts, chosen)])
    slots = after.slots(prompts.object_ids.tolist())
    return with_answers(prompts, chosen, answer.mask_logits[0, slots].float().unsqueeze(1))


def rows_in_turn(prompts: Prompts) -> Tensor:
    """Rows with several points and no answer to the first of them, (N,), bool."""
    several = (prompts.point_labels != PointLabel.PADDING).sum(dim=1) > 1
    if prompts.previous_logits is None:
        return several
    return several & (prompts.previous_logits == 0).flatten(1).all(dim=1).to(several.device)


def with_first_points(prompts: Prompts, rows: Tensor) -> Prompts:
    """The same with one point in some rows: the first on the object, else the first at all.

    Args:
        prompts: N rows.
        rows: Which, (N,), bool.
    """
    labels = prompts.point_labels
    known = labels != PointLabel.PADDING
    positive = labels == PointLabel.FOREGROUND
    wanted = torch.where(positive.any(dim=1, keepdim=True), positive, known)
    first = wanted & (wanted.cumsum(dim=1) == 1)
    alone = labels.masked_fill(~first, int(PointLabel.PADDING))
    return replace(prompts, point_labels=torch.where(rows[:, None], alone, labels))


def with_answers(prompts: Prompts, rows: Tensor, mask_logits: Tensor) -> Prompts:
    """The same with answers to the first points of some rows.

    Args:
        prompts: N rows.
        rows: Which, (N,), bool.
        mask_logits: (N, T, h, w).
    """
    before = prompts.previous_logits
    if before is None:
        before = torch.zeros_like(mask_logits)
    wide = rows.to(mask_logits.device)[:, None, None, None]
    return replace(prompts, previous_logits=torch.where(wide, mask_logits, before.to(mask_logits)))
