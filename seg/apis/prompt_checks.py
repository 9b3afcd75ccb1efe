"""Whether a model can do something with the prompts it is given."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import torch

from seg.structures import PointLabel, Prompts
from seg.structures.prompts import PROMPT_FEATURES, kinds_of
from seg.utils.checks import UserError


def make_prompts(
    points: Any = None, point_labels: Any = None, object_ids: Any = None
) -> Prompts | None:
    """Prompts from plain arrays or lists; ``None`` if there are none.

    Args:
        points: (N, P, 2), pixels (x, y) of the image.
        point_labels: (N, P): 1 foreground, 0 background, -1 padding; all foreground by default.
        object_ids: (N,); 1..N by default.

    Raises:
        UserError: If the shapes are wrong or labels come without points.
    """
    if points is None:
        if point_labels is not None:
            raise UserError('point_labels: expected points with them, got no points')
        return None
    coords = torch.as_tensor(np.asarray(points, dtype=np.float32))
    if coords.ndim != 3 or coords.shape[-1] != 2:
        raise UserError(
            f'points: expected shape (N, P, 2), P points (x, y) for each of N objects, got '
            f'{tuple(coords.shape)}; one click is [[[x, y]]]'
        )
    labels = None if point_labels is None else torch.as_tensor(np.asarray(point_labels)).long()
    ids = None if object_ids is None else torch.as_tensor(np.asarray(object_ids)).long()
    return Prompts.create(points=coords, point_labels=labels, object_ids=ids)


def read_prompt_flags(flags: Sequence[tuple[str, Any]]) -> Prompts | None:
    """Prompts from the flags of the demo in their order; ``None`` if there are none.

    Args:
        flags: ``('point', 'x,y')`` or ``('point', 'x,y,label')``, which belong to one object, and
            ``('object', id)``, which opens the group of another.

    Raises:
        UserError: If a point is no pair of numbers, or an object has no point.
    """
    groups: dict[int, list[tuple[float, float, int]]] = {}
    current, asked = 1, []
    for kind, value in flags:
        if kind == 'object':
            if value < 1:
                raise UserError(f'object {value}: expected a whole number >= 1')
            current = value
            asked.append(value)
        else:
            groups.setdefault(current, []).append(_parse_point(value))
    for object_id in asked:
        if object_id not in groups:
            raise UserError(f'object {object_id}: expected a --point after it, got none')
    if not groups:
        return None
    most = max(len(points) for points in groups.values())
    padded = [points + [(0.0, 0.0, -1)] * (most - len(points)) for points in groups.values()]
    return make_prompts(
        points=[[(x, y) for x, y, _ in points] for points in padded],
        point_labels=[[label for _, _, label in points] for points in padded],
        object_ids=list(groups),
    )


def _parse_point(text: str) -> tuple[float, float, int]:
    """``'x,y'`` or ``'x,y,label'``, the label being 1 (on the object) or 0 (beside it)."""
    parts = text.split(',')
    try:
        x, y, label = (*map(float, parts[:2]), int(parts[2]) if len(parts) > 2 else 1)
    except ValueError:
        parts, x, y, label = [], 0.0, 0.0, 1
    if len(parts) not in (2, 3) or label not in (0, 1) or not math.isfinite(x + y):
        raise UserError(
            f'point {text!r}: expected x,y or x,y,LABEL with LABEL 1 or 0, such as 120,80'
        )
    return x, y, label


def check_prompts(
    prompts: Prompts, image_size: tuple[int, int], known_kinds: Collection[str]
) -> None:
    """Refuse prompts outside the image and kinds that the model was not trained for.

    Args:
        prompts: In pixels of the image.
        image_size: (H, W).
        known_kinds: The model's ``prompt_kinds``.

    Raises:
        UserError: With the first prompt that cannot be used.
    """
    height, width = image_size
    used = prompts.point_labels != PointLabel.PADDING
    for x, y in prompts.point_coords[used].tolist():
        if not (0 <= x < width and 0 <= y < height):
            raise UserError(
                f'point ({x:g}, {y:g}): expected a point inside the image of {width} x {height} '
                f'pixels, got one outside; choose 0 <= x < {width} and 0 <= y < {height}'
            )
    for kind in kinds_of(prompts):
        if kind not in known_kinds:
            known = ', '.join(
                PROMPT_FEATURES[name] for name in PROMPT_FEATURES if name in known_kinds
            )
            raise UserError(
                f'prompts: expected {known}, which is what this model was trained for, got '
                f'{PROMPT_FEATURES[kind]}; leave them out, give every click an object of its own, or '
                'use another model'
            )
