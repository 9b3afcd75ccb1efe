"""Simulated clicks of a person who corrects a mask, and what is measured about them.

The usual protocol of interactive segmentation: the next click goes to the pixel farthest from the
border of the largest error region, positive where the mask misses the object and negative where
it spills over. Everything is deterministic. Pixel (column c, row r) is clicked at its centre,
(c + 0.5, r + 0.5).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np


class Click(NamedTuple):
    """One click.

    Attributes:
        x: Pixels from the left edge of the image, at a pixel's centre.
        y: Pixels from the top edge.
        is_positive: Whether the clicked pixel belongs to the object.
    """

    x: float
    y: float
    is_positive: bool


class Error(NamedTuple):
    """A connected region where a mask is wrong.

    Attributes:
        region: (H, W), bool.
        is_missed: Whether the region belongs to the object; otherwise the mask spills over it.
    """

    region: np.ndarray
    is_missed: bool


def mask_iou(mask: np.ndarray, other: np.ndarray) -> float:
    """Intersection over union of two masks; 1 when both are empty, for then they agree.

    Args:
        mask: Any shape, bool.
        other: Of the same shape, bool.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: If the shapes differ.
        TypeError: If a mask is not bool.
    """
    _check_masks(mask, other)
    union = np.count_nonzero(mask | other)
    return np.count_nonzero(mask & other) / union if union else 1.0


def first_click(mask: np.ndarray) -> Click:
    """The most interior pixel of a mask, as a positive click.

    Args:
        mask: (H, W), bool.

    Raises:
        ValueError: If the mask is empty or not two-dimensional.
        TypeError: If it is not bool.
    """
    _check_masks(mask, mask, ndim=2)
    if not mask.any():
        raise ValueError(
            'mask: expected at least one pixel to click on, got an empty mask; '
            'leave objects without pixels out'
        )
    return click_inside(mask, is_positive=True)


def next_click(mask: np.ndarray, target: np.ndarray) -> Click | None:
    """The click that corrects the largest error of a mask.

    Regions are 8-connected. Of equally large ones the missed come before the spilled, and the
    first in raster order comes first.

    Args:
        mask: What was predicted, (H, W), bool.
        target: What is wanted, (H, W), bool; may be empty, then every pixel of ``mask`` is wrong.

    Returns:
        The click, or ``None`` when the masks are equal.

    Raises:
        ValueError: If the shapes differ or are not two-dimensional.
        TypeError: If a mask is not bool.
    """
    error = largest_error(mask, target)
    return None if error is None else click_inside(error.region, is_positive=error.is_missed)


def largest_error(mask: np.ndarray, target: np.ndarray) -> Error | None:
    """The largest region where two masks differ; see :func:`next_click`.

    Args:
        mask: What was predicted, (H, W), bool.
        target: What is wanted, (H, W), bool.

    Returns:
        The region, or ``None`` when the masks are equal.

    Raises:
        ValueError: If the shapes differ or are not two-dimensional.
        TypeError: If a mask is not bool.
    """
    _check_masks(mask, target, ndim=2)
    missed = _largest_region(target & ~mask)
    spilled = _largest_region(mask & ~target)
    areas = np.count_nonzero(missed), np.count_nonzero(spilled)
    if areas == (0, 0):
        return None
    is_missed = bool(areas[0] >= areas[1])
    return Error(missed if is_missed else spilled, is_missed)


def num_clicks_to_reach(ious: Sequence[float], threshold: float, max_clicks: int = 20) -> int:
    """NoC: the first click after which the IoU is at least ``threshold``.

    Args:
        ious: IoU after each click, in [0, 1].
        threshold: In [0, 1], such as 0.85.
        max_clicks: What a session counts that never gets there; later clicks do not count.
    """
    for number, iou in enumerate(ious[:max_clicks], start=1):
        if iou >= threshold:
            return number
    return max_clicks


def click_inside(mask: np.ndarray, *, is_positive: bool) -> Click:
    """Click the pixel farthest from the border; of several, the one nearest to their centre.

    Args:
        mask: Region to click, (H, W), bool, not empty.
        is_positive: What the click says.
    """
    rows = np.flatnonzero(mask.any(axis=1))
    columns = np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    crop = mask[top : rows[-1] + 1, left : columns[-1] + 1].astype(np.uint8)
    # The border of the image is a border of the region too.
    padded = np.pad(crop, 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[1:-1, 1:-1]
    deepest = np.argwhere(depth >= depth.max() - 1e-4)
    offsets = ((deepest - deepest.mean(axis=0)) ** 2).sum(axis=1)
    row, column = deepest[int(np.argmin(offsets))].tolist()
    return Click(left + column + 0.5, top + row + 0.5, is_positive)


def _largest_region(mask: np.ndarray) -> np.ndarray:
    """The largest 8-connected region of a mask, as a mask."""
    num, regions, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=8)
    if num <= 2:
        return mask
    return regions == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))


def _check_masks(mask: np.ndarray, other: np.ndarray, ndim: int | None = None) -> None:
    for name, value in (('mask', mask), ('target', other)):
        if value.dtype != np.bool_:
            raise TypeError(f'{name}: expected bool, got {value.dtype}; threshold it first')
        if ndim is not None and value.ndim != ndim:
            raise ValueError(f'{name}: expected shape (H, W), got {value.shape}')
    if mask.shape != other.shape:
        raise ValueError(f'mask: expected the shape of the target {other.shape}, got {mask.shape}')
