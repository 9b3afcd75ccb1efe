"""Boxes given as shares of the image."""

from __future__ import annotations

from typing import Any

import numpy as np

from seg.apis.prompt_input import as_numbers
from seg.utils.checks import UserError


def boxes_in_pixels(boxes: Any, image_size: tuple[int, int]) -> np.ndarray:
    """Turn relative boxes into boxes in pixels.

    Args:
        boxes: xyxy as shares of the width and the height of the image, in [0, 1], (N, 4); rows of
            NaN for objects without a box.
        image_size: (H, W), pixels.

    Returns:
        xyxy, pixels, (N, 4), float32.

    Raises:
        UserError: If the shape is wrong, a number is outside [0, 1], or a box is empty.
    """
    expected = 'shape (N, 4), [x1, y1, x2, y2] each, as shares of the image'
    values = as_numbers('relative_boxes', boxes, expected)
    values = values.reshape(0, 4) if values.size == 0 and values.ndim == 1 else values
    if values.ndim != 2 or values.shape[1] != 4:
        raise UserError(f'relative_boxes: expected {expected}, got {boxes!r:.80}')
    given = values[~np.isnan(values).all(axis=1)]
    if not ((given >= 0) & (given <= 1)).all():
        raise UserError(
            'relative_boxes: expected shares of the image, in [0, 1], got '
            f'{given.round(4).tolist()}; give boxes in pixels as boxes'
        )
    if not (given[:, 2:] > given[:, :2]).all():
        raise UserError(
            'relative_boxes: expected x1 < x2 and y1 < y2, got an empty box in '
            f'{given.round(4).tolist()}; order the corners'
        )
    height, width = image_size
    return values * np.array([width, height, width, height], dtype=np.float32)
