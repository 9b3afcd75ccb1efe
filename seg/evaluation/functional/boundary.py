"""How well outlines agree."""

from __future__ import annotations

import cv2
import numpy as np

from seg.evaluation.functional.clicks import mask_iou


def boundary_region(mask: np.ndarray, share: float = 0.02) -> np.ndarray:
    """The pixels of a mask that are near its outline; the edge of the image is part of it.

    Source: Cheng et al., "Boundary IoU", CVPR 2021, with the square neighbourhood of the authors'
    code.

    Args:
        mask: (H, W), bool.
        share: Width of the region as a share of the image's diagonal; at least one pixel.

    Returns:
        (H, W), bool.
    """
    width = max(1, round(share * float(np.hypot(*mask.shape))))
    region = np.zeros_like(mask)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return region
    window = (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))
    inside = np.pad(mask[window].astype(np.uint8), 1)
    core = cv2.erode(inside, np.ones((3, 3), np.uint8), iterations=width)[1:-1, 1:-1]
    region[window] = mask[window] & (core == 0)
    return region


def boundary_iou(mask: np.ndarray, other: np.ndarray, share: float = 0.02) -> float:
    """Intersection over union of the boundary regions of two masks; 1 when both are empty.

    Args:
        mask: (H, W), bool.
        other: (H, W), bool.
        share: See :func:`boundary_region`.

    Returns:
        A number in [0, 1].
    """
    return mask_iou(boundary_region(mask, share), boundary_region(other, share))
