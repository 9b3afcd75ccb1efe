"""JSON that every parser takes, where numbers that do not exist become ``null``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seg.utils.checks import UserError


def json_text(value: Any, indent: int | None = None) -> str:
    """Write numbers, texts and containers as JSON.

    NaN and infinity, which JSON does not have, become ``null``; arrays of NumPy and torch become
    numbers or lists.

    Args:
        value: What to write.
        indent: Spaces per level; everything on one line when left out.

    Raises:
        TypeError: If there is something else in ``value``.
    """
    return json.dumps(_plain(value), indent=indent, allow_nan=False)


def read_json_object(path: Path, what: str, otherwise: str) -> dict[str, Any]:
    """Read an object that this package wrote.

    Args:
        path: Of the file.
        what: What it should be, for the error.
        otherwise: What to do if it is something else.

    Raises:
        UserError: If it holds no object in JSON.
    """
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
    except ValueError as error:
        raise UserError(f'{path}: expected {what}, got no JSON ({error}); {otherwise}') from error
    if not isinstance(content, dict):
        kind = type(content).__name__
        raise UserError(f'{path}: expected {what}, got a {kind} instead of an object; {otherwise}')
    return content


def _plain(value: Any) -> Any:
    if hasattr(value, 'tolist'):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value
