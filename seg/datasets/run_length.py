"""COCO's run-length codes, checked before they are decoded.

pycocotools does not notice runs that end before the last pixel: the rest of the mask is then
whatever the memory held.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from seg.utils.checks import UserError

_BITS, _MORE, _SIGN = 5, 0x20, 0x10


def decode_run_length(code: Mapping[str, Any], where: str) -> np.ndarray:
    """Draw a run-length code.

    Args:
        code: ``size`` (H, W) and ``counts``: a list of runs, or COCO's text of them.
        where: The annotation, for messages.

    Returns:
        (H, W), bool.

    Raises:
        UserError: If the runs do not cover the image exactly.
    """
    height, width = (int(side) for side in code['size'])
    counts = code['counts']
    runs = _runs_of_list(counts) if isinstance(counts, list) else _runs_of_text(counts)
    if runs is None or runs.min() < 0 or runs.sum() != height * width:
        got = 'something else' if runs is None or runs.min() < 0 else int(runs.sum())
        raise UserError(
            f'{where}: expected run-length counts of together {height} x {width} = '
            f'{height * width} pixels, got {got}; the annotation is cut off or of another image, '
            'export it again'
        )
    if isinstance(counts, list):
        values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
        return np.ascontiguousarray(values.reshape(width, height).T)
    return coco_mask.decode({'size': [height, width], 'counts': counts}).astype(bool)


def _runs_of_list(counts: list[Any]) -> np.ndarray | None:
    """Lengths of the runs, or ``None`` if they are no whole numbers."""
    if not counts or not all(type(count) is int for count in counts):
        return None
    return np.array(counts, dtype=np.int64)


def _runs_of_text(text: Any) -> np.ndarray | None:
    """Lengths of the runs in COCO's text form, or ``None`` if it is no such text.

    Every run is a little-endian number of five bits per character; from the fourth on it is the
    difference to the run before the last.
    """
    if isinstance(text, str):
        text = text.encode('utf-8', 'replace')
    if not isinstance(text, bytes) or not text:
        return None
    digits = np.frombuffer(text, dtype=np.uint8).astype(np.int64) - 48
    if digits.min() < 0 or digits.max() > 63 or digits[-1] & _MORE:
        return None
    last = np.flatnonzero(digits & _MORE == 0)
    first = np.concatenate([[0], last[:-1] + 1])
    place = np.arange(len(digits)) - np.repeat(first, last - first + 1)
    if place.max() > 6:
        return None
    runs = np.add.reduceat((digits & 0x1F) << (_BITS * place), first)
    negative = digits[last] & _SIGN != 0
    runs -= np.where(negative, np.int64(1) << (_BITS * (place[last] + 1)), 0)
    for start in (1, 2):
        runs[start::2] = np.cumsum(runs[start::2])
    return runs
