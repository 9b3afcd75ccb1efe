"""JSON that every parser takes: numbers that do not exist become ``null``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any


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
