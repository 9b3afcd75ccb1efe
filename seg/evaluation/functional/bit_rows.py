"""Binary pictures as whole numbers: one bit per pixel, row after row.

Python shifts and combines numbers of any size at the speed of memory, which makes operations on
outlines several times as fast as on arrays.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np


def row_length(width: int, radius: int) -> int:
    """Bits of a row of ``width`` pixels, so that growing by ``radius`` reaches no other row."""
    return (width + radius + 7) // 8 * 8


def pack_rows(mask: np.ndarray, length: int, top: int = 0, left: int = 0) -> int:
    """A mask within a larger picture as a number; pixel (y, x) is bit ``y * length + x``.

    Args:
        mask: (H, W), bool.
        length: Bits of a row, a multiple of 8, at least ``left`` + W.
        top: Empty rows above the mask.
        left: Empty columns to its left.
    """
    rows = np.zeros((top + len(mask), length), dtype=bool)
    rows[top:, left : left + mask.shape[1]] = mask
    return int.from_bytes(np.packbits(rows, bitorder='little').tobytes(), 'little')


def grow_by_disk(bits: int, radius: int, length: int) -> int:
    """Every pixel within a distance of a set pixel of a picture, besides some outside of it.

    A disk is a union of rectangles, ever lower and wider. What they share is grown once.

    Args:
        bits: The picture.
        radius: The distance in pixels, >= 0.
        length: What :func:`row_length` gives.
    """
    rectangles = _rectangles(radius)
    row, width, grown = bits, 0, 0
    for (height, half_width), lower in zip(rectangles, (*rectangles[1:], (0, 0)), strict=True):
        row = _grow(row, half_width - width, 1)
        width = half_width
        grown = _grow(grown | row, height - lower[0], length)
    return grown


@lru_cache(maxsize=16)
def _rectangles(radius: int) -> tuple[tuple[int, int], ...]:
    """Half heights and half widths of the largest rectangles in a disk, the tallest first."""
    tallest: dict[int, int] = {}
    for height in range(radius + 1):
        tallest[int(np.sqrt(radius**2 - height**2))] = height
    return tuple(sorted(((h, w) for w, h in tallest.items()), reverse=True))


def _grow(bits: int, reach: int, step: int) -> int:
    """Set what is up to ``reach`` steps before or behind a set bit, by doubling."""
    covered, wanted = 1, 2 * reach + 1
    while covered < wanted:
        further = min(covered, wanted - covered)
        bits |= bits << further * step
        covered += further
    return bits >> reach * step
