"""Text on pictures: chips that stay readable and out of each other's way."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from seg.visualization.palettes import Color, readable_text_color


class Rect(NamedTuple):
    """A rectangle of whole pixels: left, top, width, height."""

    x: int
    y: int
    width: int
    height: int

    def overlap(self, other: Rect) -> int:
        """Area shared with ``other``, pixels."""
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        high = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        return max(wide, 0) * max(high, 0)

    def inside(self, height: int, width: int) -> Rect:
        """The same rectangle moved into an image of that size as far as it fits."""
        x = min(max(self.x, 0), max(width - self.width, 0))
        y = min(max(self.y, 0), max(height - self.height, 0))
        return Rect(x, y, self.width, self.height)


class Chip(NamedTuple):
    """A small picture with transparency.

    Attributes:
        color: (h, w, 3), uint8, RGB.
        opacity: (h, w), float32 in [0, 1].
    """

    color: np.ndarray
    opacity: np.ndarray

    @classmethod
    def render(cls, text: str, font_size: int, background: Color) -> Chip:
        """One line of text on a rounded background."""
        ink = render_text(text, font_size)
        pad_x, pad_y = round(font_size * 0.4), round(font_size * 0.16)
        ink = np.pad(ink, ((pad_y, pad_y), (pad_x, pad_x)))
        back = np.asarray(background, dtype=np.float32)
        front = np.asarray(readable_text_color(background), dtype=np.float32)
        color = back + ink[..., None] * (front - back)
        opacity = 0.92 * _rounded_rectangle(ink.shape[0], ink.shape[1], round(font_size * 0.3))
        return cls(np.rint(color).astype(np.uint8), np.maximum(opacity, ink))

    @property
    def size(self) -> tuple[int, int]:
        """(h, w)."""
        return self.opacity.shape[0], self.opacity.shape[1]

    def paste(self, pixels: np.ndarray, rect: Rect) -> None:
        """Blend the chip into ``pixels`` with its top left at ``rect``; what sticks out is cut."""
        height, width = pixels.shape[:2]
        top, left = max(rect.y, 0), max(rect.x, 0)
        bottom, right = min(rect.y + self.size[0], height), min(rect.x + self.size[1], width)
        if bottom <= top or right <= left:
            return
        cut = slice(top - rect.y, bottom - rect.y), slice(left - rect.x, right - rect.x)
        under = pixels[top:bottom, left:right].astype(np.float32)
        mixed = under + self.opacity[cut][..., None] * (self.color[cut] - under)
        pixels[top:bottom, left:right] = np.rint(mixed).astype(np.uint8)


def best_rect(
    size: tuple[int, int], mask: np.ndarray, taken: Sequence[Rect], scale: int = 1
) -> Rect:
    """Where to put a chip that names a region.

    The first place wins that lies inside the picture and covers nothing taken; if there is none,
    the place that covers least.

    Args:
        size: (h, w) of the chip.
        mask: The region, (H, W), bool, not empty.
        taken: Rectangles to keep clear of.
        scale: Pixels of the picture per pixel of the mask; rectangles are in the picture's.
    """
    height, width = (length * scale for length in mask.shape)
    best, least = Rect(0, 0, size[1], size[0]), math.inf
    for candidate in _candidates(size, mask, scale):
        rect = candidate.inside(height, width)
        covered = sum(rect.overlap(other) for other in taken)
        if covered < least:
            best, least = rect, covered
        if not covered:
            break
    return best


def _candidates(size: tuple[int, int], mask: np.ndarray, scale: int) -> Iterator[Rect]:
    """Places for a chip, best first: in a large region, around a small one, then nearby."""
    chip_h, chip_w = size
    # Every n-th pixel is exact enough and keeps large pictures fast.
    step = max(1, min(mask.shape) // 256)
    coarse = mask[::step, ::step] if mask[::step, ::step].any() else mask
    unit = scale * (step if coarse is not mask else 1)
    rows, columns = coarse.any(axis=1).nonzero()[0], coarse.any(axis=0).nonzero()[0]
    top, bottom = int(rows[0]) * unit, (int(rows[-1]) + 1) * unit
    left, right = int(columns[0]) * unit, (int(columns[-1]) + 1) * unit
    middle_x, middle_y = (left + right - chip_w) // 2, (top + bottom - chip_h) // 2
    inside = [
        Rect(round(x * unit - chip_w / 2), round(y * unit - chip_h / 2), chip_w, chip_h)
        for x, y in _interior_points(coarse)
    ]
    around = [
        Rect(middle_x, top - chip_h - 2, chip_w, chip_h),
        Rect(middle_x, bottom + 2, chip_w, chip_h),
        Rect(right + 2, middle_y, chip_w, chip_h),
        Rect(left - chip_w - 2, middle_y, chip_w, chip_h),
    ]
    # A chip that would hide much of what it names goes beside it.
    small = chip_h * chip_w > 0.2 * np.count_nonzero(coarse) * unit**2
    yield from (around + inside) if small else (inside + around)
    for ring in range(1, 6):
        for dy in (-ring, 0, ring):
            for dx in (-ring, 0, ring):
                x, y = inside[0].x + round(dx * chip_w * 0.5), inside[0].y + round(dy * chip_h)
                yield Rect(x, y, chip_w, chip_h)


def _interior_points(mask: np.ndarray, num_points: int = 4) -> list[tuple[float, float]]:
    """Up to ``num_points`` points (x, y) far from the region's edge and from each other."""
    padded = np.pad(mask.astype(np.uint8), 1)
    depth = cv2.distanceTransform(padded, cv2.DIST_L2, 5)[1:-1, 1:-1]
    points: list[tuple[float, float]] = []
    while len(points) < num_points:
        y, x = np.unravel_index(int(depth.argmax()), depth.shape)
        radius = float(depth[y, x])
        if radius <= 0:
            break
        points.append((int(x) + 0.5, int(y) + 0.5))
        cv2.circle(depth, (int(x), int(y)), max(2, round(radius)), 0, -1)
    return points


def fit_text(text: str, width: int, font_size: int) -> str:
    """The text on one line, cut with an ellipsis where it is wider than ``width`` pixels."""
    line = ' '.join(text.split())
    head = line[: max(width, 1)]  # hardly a letter is narrower than a pixel
    shown = _font(font_size).getlength(head) + 1
    if head == line and shown <= width:
        return line
    keep = max(1, math.floor(len(head) * min(width / shown, 1)) - 2)
    return head[:keep].rstrip() + '…'


def render_text(text: str, font_size: int) -> np.ndarray:
    """One line of text as opacity, (h, w), float32 in [0, 1]; h depends on the font size alone."""
    font = _font(font_size)
    ascent, descent = font.getmetrics()
    width = max(1, round(font.getlength(text)) + 1)
    image = Image.new('L', (width, ascent + descent))
    ImageDraw.Draw(image).text((0, 0), text, fill=255, font=font)
    return np.asarray(image, dtype=np.float32) / 255


def _rounded_rectangle(height: int, width: int, radius: int) -> np.ndarray:
    """A filled rectangle with round corners, (height, width), float32, smooth at its edge."""
    large = Image.new('L', (width * 4, height * 4))
    box = (0, 0, width * 4 - 1, height * 4 - 1)
    ImageDraw.Draw(large).rounded_rectangle(box, radius * 4, fill=255)
    return np.asarray(large.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib and knows most alphabets."""
    import matplotlib as mpl

    path = Path(mpl.get_data_path()) / 'fonts' / 'ttf' / 'DejaVuSans.ttf'
    return ImageFont.truetype(str(path), size)
