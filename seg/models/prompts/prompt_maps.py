"""Prompts as maps at the size of the mask features: discs, boxes, masks and earlier answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.prompts.positional import pixel_centers
from seg.structures import PointLabel, Prompts
from seg.utils.devices import can_look

WINDOW_LOGIT = 4.0
"""Logit at the centre of a window; minus twice that far outside."""


@dataclass(frozen=True)
class PromptBatch:
    """The prompts of B clips side by side; N and P are padded to the largest numbers.

    Attributes:
        points: (x, y) in pixels of the padded input, (B, N, P, 2).
        point_labels: (B, N, P), int64; padding where there is no point.
        boxes: xyxy in pixels, (B, N, 4), zeros where there is none.
        has_box: (B, N), bool.
        mask_probs: Mask prompts at the size of the mask features, (B, N, h, w), in [0, 1].
        has_mask: (B, N), bool.
        previous: Mask logits of the last answer, (B, N, T, h, w), zeros where there is none.
        has_previous: (B, N), bool.
        texts: Phrase of each row of each clip, B lists.
        valid: False for padding, (B, N), bool.
    """

    points: Tensor
    point_labels: Tensor
    boxes: Tensor
    has_box: Tensor
    mask_probs: Tensor
    has_mask: Tensor
    previous: Tensor
    has_previous: Tensor
    texts: list[tuple[str | None, ...]]
    valid: Tensor

    def rows(self, index: Tensor) -> PromptBatch:
        """Some rows of every clip, (R,), int64."""
        picked: dict[str, Any] = {
            field.name: getattr(self, field.name).index_select(1, index)
            for field in fields(self)
            if field.name != 'texts'
        }
        says_something = any(text is not None for row in self.texts for text in row)
        wanted = index.tolist() if says_something else []  # reading it waits for the device
        texts = [tuple(row[i] if i < len(row) else None for i in wanted) for row in self.texts]
        return PromptBatch(texts=texts, **picked)

    @property
    def has_place(self) -> Tensor:
        """Which rows say where the object is, with anything but text, (B, N), bool."""
        clicked = (self.point_labels == PointLabel.FOREGROUND).any(dim=-1)
        return clicked | self.has_box | self.has_mask | self.has_previous

    @property
    def has_text(self) -> Tensor:
        """(B, N), bool."""
        present = torch.zeros_like(self.valid)
        for i, texts in enumerate(self.texts):
            for j, text in enumerate(texts):
                if text is not None:
                    present[i, j] = True
        return present


def batch_prompts(prompts: Sequence[Prompts], mask_features: Tensor) -> PromptBatch:
    """Put the prompts of several clips side by side.

    Args:
        prompts: One per clip.
        mask_features: (B, T, C, h, w), for the device and the size of maps.
    """
    device = mask_features.device
    num_frames, size = mask_features.shape[1], mask_features.shape[-2:]
    count = (len(prompts), max(len(rows) for rows in prompts))
    most = max(rows.point_coords.shape[1] for rows in prompts)
    points = torch.zeros(*count, most, 2, device=device)
    labels = torch.full((*count, most), int(PointLabel.PADDING), device=device)
    boxes = torch.zeros(*count, 4, device=device)
    flags = torch.zeros(4, *count, dtype=torch.bool, device=device)
    mask_probs = torch.zeros(*count, *size, device=device)
    previous = torch.zeros(*count, num_frames, *size, device=device)
    for i, rows in enumerate(prompts):
        n, num_points = rows.point_coords.shape[:2]
        points[i, :n, :num_points] = rows.point_coords.to(device)
        labels[i, :n, :num_points] = rows.point_labels.to(device)
        boxes[i, :n] = rows.boxes.to(device).nan_to_num(0.0)
        flags[0, i, :n] = rows.has_box.to(device)
        flags[1, i, :n] = rows.has_mask.to(device)
        flags[3, i, :n] = True
        if rows.masks is not None and n:
            mask_probs[i, :n] = F.adaptive_avg_pool2d(
                rows.masks.to(device).float(), (size[0], size[1])
            )
        if rows.previous_logits is not None and n:
            previous[i, :n] = rows.previous_logits.to(device)
            flags[2, i, :n] = (previous[i, :n] != 0).flatten(1).any(dim=1)
    return PromptBatch(
        points=points,
        point_labels=labels,
        boxes=boxes,
        has_box=flags[0],
        mask_probs=mask_probs,
        has_mask=flags[1],
        previous=previous,
        has_previous=flags[2],
        texts=[rows.texts for rows in prompts],
        valid=flags[3],
    )


def disc_logits(centers: Tensor, radius: float, size: Sequence[int]) -> Tensor:
    """Logits that are positive on a disc around each point.

    Args:
        centers: (x, y) in cells, (..., 2).
        radius: Cells.
        size: (h, w).

    Returns:
        (..., h, w), from ``WINDOW_LOGIT`` at the centre down to minus twice that.
    """
    height, width = size
    rows = pixel_centers(height, centers.device)
    columns = pixel_centers(width, centers.device)
    dx = columns - centers[..., 0:1]
    dy = rows - centers[..., 1:2]
    distance = dy.square().unsqueeze(-1) + dx.square().unsqueeze(-2)
    logits = WINDOW_LOGIT * (1 - distance / radius**2)
    return logits.clamp(min=-2 * WINDOW_LOGIT)


def point_logits(
    batch: PromptBatch, label: PointLabel, radius: float, stride: Tensor, size: Sequence[int]
) -> Tensor:
    """Union of the discs around the points of one label, (B, N, h, w); low where there are none.

    Args:
        batch: The prompts.
        label: Which points.
        radius: Of the discs, cells.
        stride: Pixels per cell, (x, y), (2,).
        size: (h, w).
    """
    far = batch.points.new_full((*batch.valid.shape, *size), -2 * WINDOW_LOGIT)
    for p in range(batch.points.shape[2]):
        discs = disc_logits(batch.points[:, :, p] / stride, radius, size)
        chosen = (batch.point_labels[:, :, p] == label)[..., None, None]
        far = torch.where(chosen, torch.maximum(far, discs), far)
    return far


def box_logits(batch: PromptBatch, stride: Tensor, size: Sequence[int]) -> Tensor:
    """Logits that are positive on the ellipse within each box, (B, N, h, w).

    A box is always a little larger than what it holds, and its corners rarely belong to it.
    """
    if can_look(batch.has_box.device) and not batch.has_box.any():
        return batch.boxes.new_full((*batch.has_box.shape, *size), -2 * WINDOW_LOGIT)
    height, width = size
    boxes = batch.boxes / stride.repeat(2)
    half = ((boxes[..., 2:] - boxes[..., :2]) / 2).clamp(min=0.5)
    center = (boxes[..., 2:] + boxes[..., :2]) / 2
    rows = pixel_centers(height, boxes.device)
    columns = pixel_centers(width, boxes.device)
    dx = (columns - center[..., 0:1]) / half[..., 0:1]
    dy = (rows - center[..., 1:2]) / half[..., 1:2]
    distance = dy.square().unsqueeze(-1) + dx.square().unsqueeze(-2)
    logits = (WINDOW_LOGIT * (1 - distance)).clamp(min=-2 * WINDOW_LOGIT)
    return torch.where(batch.has_box[..., None, None], logits, -2 * WINDOW_LOGIT)


def box_sides(batch: PromptBatch, stride: Tensor, size: Sequence[int]) -> Tensor:
    """Which side of its box each cell is on, (B, N, h, w): 1 inside, -1 outside, 0 without box.

    Cells that a side cuts are in between, so that the side is known more finely than the grid.
    """
    if can_look(batch.has_box.device) and not batch.has_box.any():
        return batch.boxes.new_zeros(*batch.has_box.shape, *size)
    height, width = size
    x1, y1, x2, y2 = (batch.boxes / stride.repeat(2)).unsqueeze(-2).unbind(-1)
    rows = torch.arange(height, device=batch.boxes.device)
    columns = torch.arange(width, device=batch.boxes.device)
    covered_rows = (torch.minimum(y2, rows + 1) - torch.maximum(y1, rows)).clamp(0, 1)
    covered_columns = (torch.minimum(x2, columns + 1) - torch.maximum(x1, columns)).clamp(0, 1)
    covers = covered_rows.unsqueeze(-1) * covered_columns.unsqueeze(-2)
    return (2 * covers - 1) * batch.has_box[..., None, None]


def mask_prompt_logits(batch: PromptBatch) -> Tensor:
    """Mask prompts as logits in the range of windows, (B, N, h, w); low where there are none."""
    logits = WINDOW_LOGIT * (2 * batch.mask_probs - 1)
    return torch.where(batch.has_mask[..., None, None], logits, -2 * WINDOW_LOGIT)
