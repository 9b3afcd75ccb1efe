"""What can be had without learning: colour regions, and a first mask that never moves.

Scored beside a model, it says how much of a result is owed to the data being easy.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import cv2
import numpy as np

LEVELS = 4
"""Steps per colour channel within which pixels count as one colour."""

MIN_REGION = 40
"""Smallest region that becomes a segment, in pixels."""

MAX_REGIONS = 12
CLICK_TOLERANCE = 40
"""Largest difference to the clicked pixel in any colour channel, in grey levels."""


def mean_class_colors(
    samples: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]], num_classes: int
) -> np.ndarray:
    """All that the baseline learns: the mean colour of each class.

    Args:
        samples: Image (H, W, 3), uint8, segment map (H, W), 0 for void, and label of each
            segment from 1 on, (N,).
        num_classes: Number of classes.

    Returns:
        RGB, (K, 3), float64; mid-grey for a class that does not occur.
    """
    sums, counts = np.zeros((num_classes, 3)), np.zeros(num_classes)
    for image, segment_map, labels in samples:
        known = segment_map > 0
        classes = np.asarray(labels)[segment_map[known] - 1]
        counts += np.bincount(classes, minlength=num_classes)
        for channel in range(3):
            values = image[..., channel][known]
            sums[:, channel] += np.bincount(classes, weights=values, minlength=num_classes)
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], 128.0)


def panoptic_by_color(
    image: np.ndarray, class_colors: np.ndarray, num_things: int
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Call the largest connected regions of one colour segments of the class nearest in colour.

    Args:
        image: RGB, (H, W, 3), uint8.
        class_colors: Mean colour of each class, things first, (K, 3).
        num_things: How many of the classes are things; regions of one stuff class are joined.

    Returns:
        Segment map (H, W), int32, without void where there is any region, and its segments as
        ``pq_stat`` takes them: ``id`` and ``category_id``, the class index.
    """
    regions = _color_regions(image)
    segment_map = np.zeros_like(regions)
    ids: dict[int, int] = {}
    segments: list[dict[str, Any]] = []
    for region in range(1, int(regions.max()) + 1):
        mask = regions == region
        distances = np.linalg.norm(class_colors - image[mask].mean(axis=0), axis=1)
        label = int(distances.argmin())
        if label < num_things or label not in ids:
            ids[label] = len(segments) + 1
            segments.append({'id': ids[label], 'category_id': label})
        segment_map[mask] = ids[label]
    return segment_map, segments


def mask_by_color(image: np.ndarray, x: float, y: float) -> np.ndarray:
    """The connected region around a click whose colour is close to that of the clicked pixel.

    Args:
        image: RGB, (H, W, 3), uint8.
        x: Column of the click, inside the image.
        y: Row of the click.

    Returns:
        The region, (H, W), bool.
    """
    height, width = image.shape[:2]
    flooded = np.zeros((height + 2, width + 2), np.uint8)
    tolerance = (CLICK_TOLERANCE,) * 3
    flags = 4 | cv2.FLOODFILL_MASK_ONLY | cv2.FLOODFILL_FIXED_RANGE
    smooth = cv2.medianBlur(np.ascontiguousarray(image), 3)
    cv2.floodFill(smooth, flooded, (int(x), int(y)), 0, tolerance, tolerance, flags)
    return flooded[1:-1, 1:-1] > 0


def largest_color_region(image: np.ndarray) -> np.ndarray:
    """The largest connected region of one colour of an image (H, W, 3), (H, W), bool."""
    regions = _color_regions(image)
    return regions == 1 + int(np.bincount(regions[regions > 0], minlength=2)[1:].argmax())


def copy_first_masks(masks: np.ndarray, num_frames: int) -> np.ndarray:
    """Masks of the first frame (N, H, W) for every frame of a clip, (N, T, H, W)."""
    return np.repeat(masks[:, None], num_frames, axis=1)


def _color_regions(image: np.ndarray) -> np.ndarray:
    """Largest connected regions from 1 on; other pixels join the nearest, (H, W), int32."""
    coarse = cv2.medianBlur(np.ascontiguousarray(image), 5) // (256 // LEVELS)
    codes = (coarse.astype(np.int32) * (LEVELS**2, LEVELS, 1)).sum(axis=2)
    found = []
    for code in np.unique(codes):
        _, parts, stats, _ = cv2.connectedComponentsWithStats((codes == code).astype(np.uint8))
        areas = stats[1:, cv2.CC_STAT_AREA]
        found += [
            (int(area), parts == part + 1)
            for part, area in enumerate(areas.tolist())
            if area >= MIN_REGION
        ]
    regions = np.zeros(codes.shape, np.int32)
    largest = sorted(found, key=lambda pair: -pair[0])[:MAX_REGIONS]
    for index, (_, mask) in enumerate(largest, start=1):
        regions[mask] = index
    return _filled(regions) if largest else regions


def _filled(regions: np.ndarray) -> np.ndarray:
    """Give every pixel of region 0 the number of the nearest region."""
    _, nearest = cv2.distanceTransformWithLabels(
        (regions == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    kept = regions > 0
    numbers = np.zeros(int(nearest.max()) + 1, np.int32)
    numbers[nearest[kept]] = regions[kept]
    return numbers[nearest]
