"""Prompts from the flags of a command line."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from seg.apis.prompt_input import make_prompts
from seg.datasets.imaging import read_image
from seg.structures import Prompts
from seg.utils.checks import UserError


@dataclass
class _Owner:
    """An object; its id is ``None`` until all ids asked for are known."""

    object_id: int | None = None


@dataclass
class _Group:
    """What the flags say about one object on one frame."""

    owner: _Owner
    frame: int = 0
    points: list[tuple[float, float, int]] = field(default_factory=list)
    box: tuple[float, ...] | None = None
    mask: np.ndarray | None = None
    text: str | None = None


def read_prompt_flags(flags: Sequence[tuple[str, Any]]) -> Prompts | None:
    """Prompts from the flags of the demo in their order; ``None`` if there are none.

    ``('object', id)`` opens a group: what follows is about that object, until the next. Before the
    first one all points belong to one object, and each box, mask or text starts its own.
    ``('frame', k)`` says on which frame of a video what follows is.

    Args:
        flags: ``('point', 'x,y')`` or ``('point', 'x,y,label')``, ``('box', 'x1,y1,x2,y2')``,
            ``('mask', file)``, ``('text', phrase)`` and ``('object', id)``.

    Raises:
        UserError: If a value is not of that form, an object has no prompt or two boxes, masks or
            texts, or a mask file is broken or empty.
        FileNotFoundError: If there is no such mask file.
    """
    groups = _with_ids(_grouped(flags))
    if not groups:
        return None
    most = max(len(group.points) for group in groups)
    padded = [g.points + [(0.0, 0.0, -1)] * (most - len(g.points)) for g in groups]
    no_box = (math.nan,) * 4
    prompts = make_prompts(
        points=np.array(padded).reshape(len(groups), most, 3)[..., :2],
        point_labels=np.array(padded).reshape(len(groups), most, 3)[..., 2],
        object_ids=[group.owner.object_id for group in groups],
        boxes=[group.box or no_box for group in groups],
        masks=None if all(g.mask is None for g in groups) else [g.mask for g in groups],
        texts=[group.text for group in groups],
    )
    assert prompts is not None, 'there is a group'
    frames = torch.tensor([group.frame for group in groups], dtype=torch.int64)
    return replace(prompts, frame_index=frames)


def _grouped(flags: Sequence[tuple[str, Any]]) -> list[_Group]:
    groups: list[_Group] = []
    opened: dict[int, _Owner] = {}
    points: _Owner | None = None  # whose points come: those of the open object, or of their own
    current: _Owner | None = None
    frame = 0
    for kind, value in flags:
        if kind == 'frame':
            if value < 0:
                raise UserError(f'frame {value}: expected a whole number >= 0')
            frame = value
            continue
        if kind == 'object':
            if value < 1:
                raise UserError(f'object {value}: expected a whole number >= 1')
            points = current = opened.setdefault(value, _Owner(value))
            continue
        owner = points if kind == 'point' else current
        if owner is None:
            owner = _Owner()
            points = owner if kind == 'point' else points
        _add(_group_of(groups, owner, frame), kind, value)
    for object_id, owner in opened.items():
        if not any(group.owner is owner for group in groups):
            raise UserError(
                f'object {object_id}: expected a --point, --box, --mask or --text after it, got '
                'none'
            )
    return groups


def _group_of(groups: list[_Group], owner: _Owner, frame: int) -> _Group:
    """The group of an object on a frame, a new one if there is none."""
    for group in groups:
        if group.owner is owner and group.frame == frame:
            return group
    groups.append(_Group(owner, frame))
    return groups[-1]


def _with_ids(groups: list[_Group]) -> list[_Group]:
    """Give objects without an id the smallest free one."""
    taken = {group.owner.object_id for group in groups}
    free = (number for number in range(1, 2 * len(groups) + 1) if number not in taken)
    for group in groups:
        if group.owner.object_id is None:
            group.owner.object_id = next(free)
    return groups


def _add(group: _Group, kind: str, value: str) -> None:
    if kind == 'point':
        group.points.append(_parse_point(value))
        return
    if getattr(group, kind) is not None:
        raise UserError(
            f'object {group.owner.object_id}: expected at most one --{kind}, got another, '
            f'{value}; give it an --object of its own'
        )
    parsers: dict[str, Callable[[str], Any]] = {
        'box': _parse_box,
        'mask': _read_mask,
        'text': str,
    }
    setattr(group, kind, parsers[kind](value))


def _parse_point(text: str) -> tuple[float, float, int]:
    """``'x,y'`` or ``'x,y,label'``, the label being 1 (on the object) or 0 (beside it)."""
    numbers = _parse_numbers(text)
    label = numbers[2] if len(numbers) == 3 else 1
    if len(numbers) not in (2, 3) or label not in (0, 1):
        raise UserError(
            f'point {text!r}: expected x,y or x,y,LABEL with LABEL 1 or 0, such as 120,80'
        )
    return numbers[0], numbers[1], int(label)


def _parse_box(text: str) -> tuple[float, ...]:
    numbers = _parse_numbers(text)
    if len(numbers) != 4 or numbers[2] <= numbers[0] or numbers[3] <= numbers[1]:
        raise UserError(
            f'box {text!r}: expected x1,y1,x2,y2, the left top and the right bottom corner in '
            'pixels, such as 10,20,120,80'
        )
    return numbers


def _parse_numbers(text: str) -> tuple[float, ...]:
    """Numbers between commas; nothing if one of them is no finite number."""
    try:
        numbers = tuple(map(float, text.split(',')))
    except ValueError:
        return ()
    return numbers if all(map(math.isfinite, numbers)) else ()


def _read_mask(file: str) -> np.ndarray:
    """Pixels brighter than half of the brightest, (H, W), bool; transparent ones are black."""
    values = read_image(Path(file), exif=True, backdrop=(0, 0, 0)).max(axis=2)
    mask = values > values.max() / 2
    if not mask.any():
        raise UserError(f'mask {file}: expected an object in white on black, got black only')
    return mask
