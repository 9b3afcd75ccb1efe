"""Frames with discs that move, where no pictures are at hand: for measurements and examples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from seg.utils.checks import UserError

_CELL = 8  # pixels of the noise; that of single pixels is no picture


def draw_frame(index: int, num_objects: int, size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """A frame (H, W, 3) with discs that go round on coarse noise, and their ids (H, W).

    Args:
        index: Of the frame; discs are back after 64, the noise is after 16.
        num_objects: Discs, with ids from 1 on.
        size: (H, W).

    Raises:
        UserError: If so many discs would be smaller than pixels.
    """
    height, width = size
    most = (min(height, width) // 3) ** 2  # with a radius of one pixel
    if num_objects > most:
        raise UserError(
            f'objects: expected at most {most} on frames of {height}x{width}, got {num_objects}; '
            'fewer objects or larger frames'
        )
    rng = np.random.default_rng(index % 16)
    cells = -(-height // _CELL), -(-width // _CELL)
    noise = rng.integers(0, 120, (*cells, 3), dtype=np.uint8)
    image = noise.repeat(_CELL, axis=0).repeat(_CELL, axis=1)[:height, :width].copy()
    ids = np.zeros((height, width), dtype=np.int32)
    y, x = np.mgrid[:height, :width]
    columns = max(1, int(np.ceil(num_objects**0.5)))
    radius = min(height, width) / (3 * columns)
    phase = 2 * np.pi * (index % 64) / 64
    for k in range(num_objects):
        cy = (k // columns + 0.5) * height / columns + 0.2 * radius * np.sin(phase)
        cx = (k % columns + 0.5) * width / columns + 0.2 * radius * np.cos(phase)
        here = (y - cy) ** 2 + (x - cx) ** 2 < radius**2
        image[here] = (37 * k + 90) % 256, (91 * k + 150) % 256, (53 * k + 30) % 256
        ids[here] = k + 1
    return image, ids
