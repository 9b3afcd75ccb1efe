"""Prompts of a frame in the order of a memory's slots."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from seg.models.memory import MemoryState
from seg.models.prompts.prompt_maps import PromptBatch
from seg.structures import PointLabel, Prompts


def prompts_by_slot(state: MemoryState, given: Prompts | None) -> Prompts:
    """Prompts with one row per slot, in order; rows without a prompt say nothing."""
    count, device = state.num_objects, state.object_ids.device
    points = 0 if given is None else given.point_coords.shape[1]
    rows = Prompts(
        object_ids=state.object_ids,
        frame_index=torch.zeros(count, dtype=torch.int64, device=device),
        point_coords=torch.zeros(count, points, 2, device=device),
        point_labels=torch.full((count, points), int(PointLabel.PADDING), device=device),
        boxes=torch.full((count, 4), torch.nan, device=device),
        masks=None,
        has_mask=torch.zeros(count, dtype=torch.bool, device=device),
        texts=(None,) * count,
    )
    if given is None or not len(given):
        return rows
    places = state.slots(given.object_ids.tolist())
    slots = torch.tensor(places, device=device)
    texts = list(rows.texts)
    for slot, text in zip(places, given.texts, strict=True):
        texts[slot] = text

    def spread(like: Tensor) -> Tensor:
        like = like.to(device)
        return like.new_zeros(count, *like.shape[1:]).index_copy(0, slots, like)

    changed = {
        name: getattr(rows, name).index_copy(0, slots, getattr(given, name).to(device))
        for name in ('point_coords', 'point_labels', 'boxes', 'has_mask')
    }
    for name in ('masks', 'previous_logits'):
        value = getattr(given, name)
        changed[name] = None if value is None else spread(value)
    return replace(rows, texts=tuple(texts), **changed)


def second_path(batch: PromptBatch, masks: Tensor, propagated: Tensor) -> PromptBatch:
    """The same rows with nothing but masks that were found anew.

    Args:
        batch: (B, N, ...).
        masks: (B, N, h, w), in [0, 1].
        propagated: Which rows count, (B, N), bool.
    """
    return replace(
        batch,
        point_labels=torch.full_like(batch.point_labels, int(PointLabel.PADDING)),
        has_box=torch.zeros_like(batch.has_box),
        mask_probs=masks.to(batch.mask_probs),
        has_mask=propagated,
        previous=torch.zeros_like(batch.previous),
        has_previous=torch.zeros_like(batch.has_previous),
        texts=[() for _ in batch.texts],
        valid=propagated,
    )


def side_by_side(first: PromptBatch, second: PromptBatch) -> PromptBatch:
    """The rows of both, those of the second behind; it has no texts."""
    joined: dict[str, Any] = {
        field.name: torch.cat([getattr(first, field.name), getattr(second, field.name)], dim=1)
        for field in fields(first)
        if field.name != 'texts'
    }
    return PromptBatch(texts=first.texts, **joined)
