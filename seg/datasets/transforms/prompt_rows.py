"""Segments as a person prompts them, and rows of prompts gathered into a sample."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import NamedTuple

import cv2
import numpy as np
import torch

from seg.datasets.transforms.results import Results
from seg.evaluation.functional import first_click
from seg.structures import PROMPT_KINDS, PointLabel, Prompts
from seg.utils.checks import UserError, unknown_name_message

Point = tuple[float, float]
Box = tuple[float, float, float, float]


class VisibleSegment:
    """A segment on the first frame that shows it.

    Args:
        masks: (T, H, W), bool, with at least one pixel set.
    """

    def __init__(self, masks: np.ndarray) -> None:
        self.frame = next(t for t, mask in enumerate(masks) if mask.any())
        self.mask: np.ndarray = masks[self.frame]

    @cached_property
    def box(self) -> tuple[int, int, int, int]:
        """The tight box around all of its pixels, xyxy."""
        rows = np.flatnonzero(self.mask.any(axis=1))
        columns = np.flatnonzero(self.mask.any(axis=0))
        return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1

    @cached_property
    def interior_point(self) -> Point:
        """The centre (x, y) of its most interior pixel."""
        click = first_click(self.mask)
        return click.x, click.y

    @cached_property
    def deep_point(self) -> Point:
        """The centre (x, y) of a pixel about as interior, at a third of the cost."""
        left, top, right, bottom = self.box
        crop = np.zeros((bottom - top + 2, right - left + 2), np.uint8)
        crop[1:-1, 1:-1] = self.mask[top:bottom, left:right]
        depth = cv2.distanceTransform(crop, cv2.DIST_L2, cv2.DIST_MASK_3)
        x, y = cv2.minMaxLoc(depth)[3]
        return left + x - 0.5, top + y - 0.5


class PromptRow(NamedTuple):
    """What is said about one segment.

    Attributes:
        target: Row of ``masks`` that is meant.
        kind: The main kind, of ``PROMPT_KINDS``.
        frame: Frame that is prompted.
        point: A foreground point (x, y), pixels.
        box: xyxy, pixels.
        mask: (H, W), bool.
        text: A phrase.
    """

    target: int
    kind: str
    frame: int
    point: Point | None = None
    box: Box | None = None
    mask: np.ndarray | None = None
    text: str | None = None


def set_prompts(results: Results, rows: Sequence[PromptRow]) -> None:
    """Write rows into a sample as ``prompts``, ``prompt_targets`` and ``prompt_kinds``.

    There is one point per row, padding where it has none; ``prompts.masks`` is bool, and ``None``
    unless a row has a mask.

    Args:
        results: The sample.
        rows: M rows; may be empty.
    """
    targets = torch.tensor([row.target for row in rows], dtype=torch.long)
    points = [row.point or (0.0, 0.0) for row in rows]
    labels = [PointLabel.PADDING if row.point is None else PointLabel.FOREGROUND for row in rows]
    boxes = [row.box or (np.nan,) * 4 for row in rows]
    has_mask = [row.mask is not None for row in rows]
    # Not validated: that costs as much as making them.
    results['prompts'] = Prompts(
        object_ids=results['object_ids'][targets],
        frame_index=torch.tensor([row.frame for row in rows], dtype=torch.long),
        point_coords=torch.tensor(points, dtype=torch.float32).reshape(-1, 1, 2),
        point_labels=torch.tensor(labels, dtype=torch.long).reshape(-1, 1),
        boxes=torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
        masks=_stack_masks(rows, results['clip'].shape[-2:]) if any(has_mask) else None,
        has_mask=torch.tensor(has_mask, dtype=torch.bool),
        texts=tuple(row.text for row in rows),
    )
    results['prompt_targets'] = targets
    results['prompt_kinds'] = [row.kind for row in rows]


def _stack_masks(rows: Sequence[PromptRow], size: Sequence[int]) -> torch.Tensor:
    masks = np.zeros((len(rows), *size), bool)
    for canvas, row in zip(masks, rows, strict=True):
        if row.mask is not None:
            canvas[:] = row.mask
    return torch.from_numpy(masks)


def check_kinds(name: str, kinds: Iterable[str]) -> tuple[str, ...]:
    """Check kinds of prompts.

    Args:
        name: What the setting is called in errors.
        kinds: The kinds.

    Raises:
        UserError: If there are none, or one is unknown.
    """
    names = tuple(kinds)
    if not names:
        raise UserError(f'{name}: expected some of {", ".join(PROMPT_KINDS)}, got none')
    for kind in names:
        if kind not in PROMPT_KINDS:
            raise UserError(f'{name}: {unknown_name_message("prompt kind", kind, PROMPT_KINDS)}')
    return names


def expressions_of(results: Results, transform: str) -> list[str | None]:
    """The expression of each segment, none where the data set has no expressions.

    Args:
        results: The sample.
        transform: Who asks, for the error.

    Raises:
        ValueError: If there is not one per segment.
    """
    num = len(results['masks'])
    expressions = results.get('expressions', [None] * num)
    if len(expressions) != num:
        raise ValueError(
            f'{transform}: expected one expression (or None) for each of {num} segments, got '
            f'{len(expressions)}'
        )
    return list(expressions)
