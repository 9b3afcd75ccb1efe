"""Masks as people draw them: right in the middle, wrong along the border."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from seg.evaluation.functional import mask_iou

_WORK_SIDE = 64
"""Longest side of the copy that is deformed, pixels; keeps the cost independent of the image."""
_MARGIN = 0.6
_REACH = 0.5
"""Room around a mask, and how far its border may move, in square roots of its area."""
_SEARCH_STEPS = 6
_POLYGON_PROB = 0.3
_IOU_RANGE = (0.5, 0.9)

Deform = Callable[[np.ndarray], np.ndarray]


def random_loose_mask(
    mask: np.ndarray, box: tuple[int, int, int, int], rng: np.random.Generator
) -> np.ndarray:
    """A mask that resembles another: grown, shrunk, displaced or wavy, or a coarse polygon.

    Args:
        mask: (H, W), bool, with at least one pixel set.
        box: Tight box around its pixels, xyxy.
        rng: Where the randomness comes from.

    Returns:
        (H, W), bool, never empty; IoU with ``mask`` mostly in 0.5..0.9.
    """
    if rng.random() < _POLYGON_PROB:
        tolerance = rng.uniform(0.05, 0.2)
        return _deform_crop(mask, box, lambda crop: coarse_polygon(crop, tolerance))
    angle = rng.uniform(0, 2 * np.pi)
    growth, shift, waves = rng.uniform((-1, 0, 0), (1, 1, 1)).tolist()
    knots = waves * rng.standard_normal((4, 4), np.float32)
    target = rng.uniform(*_IOU_RANGE)

    def deform(crop: np.ndarray) -> np.ndarray:
        wavy = cv2.resize(knots, crop.shape[::-1], interpolation=cv2.INTER_CUBIC)
        return move_border(crop, growth + shift * _slope(crop.shape, angle) + wavy, target)

    return _deform_crop(mask, box, deform)


def fixed_loose_mask(
    mask: np.ndarray, box: tuple[int, int, int, int], *, grow: bool, iou: float = 0.7
) -> np.ndarray:
    """A mask displaced to the lower right and grown or shrunk; deterministic, for evaluation.

    Args:
        mask: (H, W), bool, with at least one pixel set.
        box: Tight box around its pixels, xyxy.
        grow: Whether it grows; otherwise it shrinks.
        iou: Wanted IoU with ``mask``; that of small masks comes as near as pixels allow.

    Returns:
        (H, W), bool, never empty.
    """

    def deform(crop: np.ndarray) -> np.ndarray:
        growth = 0.6 if grow else -0.6
        return move_border(crop, growth + _slope(crop.shape, np.pi / 4), iou)

    return _deform_crop(mask, box, deform)


def move_border(mask: np.ndarray, speed: np.ndarray, iou: float) -> np.ndarray:
    """Move the border of a mask outwards at a speed, until the IoU falls to a value.

    Args:
        mask: (h, w), bool, with at least one pixel set.
        speed: Outward speed of the border at each pixel, negative for inwards, (h, w).
        iou: When to stop.

    Returns:
        (h, w), bool: of the masks tried, that whose IoU is nearest to ``iou``.
    """
    binary = mask.astype(np.uint8)
    inside = cv2.distanceTransform(binary, cv2.DIST_L2, cv2.DIST_MASK_3)
    outside = cv2.distanceTransform(1 - binary, cv2.DIST_L2, cv2.DIST_MASK_3)
    depth = inside - outside  # positive inside
    low, high = (
        0.0,
        _REACH * np.sqrt(np.count_nonzero(mask)) / max(float(np.abs(speed).max()), 1e-6),
    )
    best, best_error = mask, 1 - iou
    for _ in range(_SEARCH_STEPS):
        time = (low + high) / 2
        moved = depth + time * speed > 0
        reached = mask_iou(moved, mask)
        low, high = (time, high) if reached > iou else (low, time)
        if abs(reached - iou) < best_error and moved.any():
            best, best_error = moved, abs(reached - iou)
    return best


def coarse_polygon(mask: np.ndarray, tolerance: float) -> np.ndarray:
    """The outline of a mask as polygons with few corners, holes filled.

    Args:
        mask: (h, w), bool, with at least one pixel set.
        tolerance: Largest distance between outline and polygon, in square roots of the area.

    Returns:
        (h, w), bool, never empty.
    """
    binary = mask.astype(np.uint8)
    outlines, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    distance = tolerance * float(np.sqrt(np.count_nonzero(mask)))
    corners = [cv2.approxPolyDP(outline, distance, closed=True) for outline in outlines]
    return cv2.fillPoly(np.zeros_like(binary), corners, 1).astype(bool)


def _slope(size: tuple[int, ...], angle: float) -> np.ndarray:
    """A plane that rises from -1 to 1 or so in a direction, (h, w)."""
    height, width = size
    x = np.linspace(-1, 1, width, dtype=np.float32) * np.float32(np.cos(angle))
    y = np.linspace(-1, 1, height, dtype=np.float32) * np.float32(np.sin(angle))
    return y[:, None] + x


def _deform_crop(mask: np.ndarray, box: tuple[int, int, int, int], deform: Deform) -> np.ndarray:
    """Deform a mask in a window around it, at a limited resolution; the mask if nothing is left."""
    height, width = mask.shape
    room = int(np.ceil(_MARGIN * np.sqrt((box[2] - box[0]) * (box[3] - box[1])))) + 1
    left, top = max(box[0] - room, 0), max(box[1] - room, 0)
    crop = mask[top : min(box[3] + room, height), left : min(box[2] + room, width)]
    scale = _WORK_SIDE / max(crop.shape)
    if scale < 1:
        size = (max(round(crop.shape[1] * scale), 1), max(round(crop.shape[0] * scale), 1))
        small = cv2.resize(crop.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        work = small >= min(0.5, float(small.max()))
        moved = cv2.resize(deform(work).astype(np.float32), crop.shape[::-1]) >= 0.5
    else:
        moved = deform(crop)
    if not moved.any():
        return mask
    loose = np.zeros_like(mask)
    loose[top : top + crop.shape[0], left : left + crop.shape[1]] = moved
    return loose
