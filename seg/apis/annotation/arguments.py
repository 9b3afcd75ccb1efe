"""Arguments of changes, each checked by what it should be."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from seg.apis.annotation.state import Click
from seg.utils.checks import UserError

MAX_TEXT = 200


def checked_text(text: str, name: str) -> str:
    """A label or a phrase, spaces made single.

    Raises:
        UserError: If it is no printable text of 1 to 200 characters.
    """
    stripped = ' '.join(text.split()) if isinstance(text, str) else ''
    if not stripped or len(stripped) > MAX_TEXT or not stripped.isprintable():
        raise UserError(f'{name}: expected a text of 1 to {MAX_TEXT} characters, got {text!r:.60}')
    return stripped


def checked_number(value: float, name: str) -> float:
    """A coordinate.

    Raises:
        UserError: If it is no finite number.
    """
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not math.isfinite(value):
        raise UserError(f'{name}: expected a finite number, got {value!r:.60}')
    return float(value)


def checked_box(box: Sequence[float]) -> tuple[float, float, float, float]:
    """A box xyxy, pixels.

    Raises:
        UserError: If it is none, or empty.
    """
    if not isinstance(box, (list, tuple, np.ndarray)) or len(box) != 4:
        raise UserError(f'box: expected four numbers x1, y1, x2, y2, got {box!r:.60}')
    x1, y1, x2, y2 = (
        checked_number(value, 'box') for value in np.asarray(box, dtype=object).tolist()
    )
    if x2 <= x1 or y2 <= y1:
        raise UserError(f'box: expected x1 < x2 and y1 < y2, got {x1:g}, {y1:g}, {x2:g}, {y2:g}')
    return x1, y1, x2, y2


def checked_place(index: int, clicks: Sequence[Click]) -> int:
    """The number of a click, from 0 on.

    Raises:
        UserError: If there is none with that number.
    """
    whole = isinstance(index, int) and not isinstance(index, bool)
    if not whole or not 0 <= index < len(clicks):
        raise UserError(f'click: expected a number from 0 to {len(clicks) - 1}, got {index!r}')
    return index
