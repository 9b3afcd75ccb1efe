"""An image that is drawn on: masks, outlines, captions and prompts at any resolution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from seg.visualization.palettes import Color
from seg.visualization.text import Chip, Rect, best_rect, fit_text

_WHITE: Color = (255, 255, 255)
_INK: Color = (16, 18, 22)

MAX_ENLARGED_SIDE = 2000
"""Enlarging stops before the long side of a canvas is longer than this, in pixels."""


class Region(NamedTuple):
    """A mask on the canvas.

    Attributes:
        window: Rows and columns of the canvas that the region lies in.
        cover: How much of each pixel of the window is covered, float32 in [0, 1]; exactly the
            mask where the image is not enlarged.
    """

    window: tuple[slice, slice]
    cover: np.ndarray


class Canvas:
    """A copy of an image, enlarged when small, on which things are drawn.

    All coordinates and masks that come in belong to the image; the canvas scales them.

    Args:
        image: (H, W, 3), uint8, RGB.
        min_size: The image is enlarged by a whole factor until its short side reaches this many
            pixels, or its long side would pass ``MAX_ENLARGED_SIDE``; 0 keeps its size.

    Raises:
        ValueError: If the image has another shape or type.
    """

    def __init__(self, image: np.ndarray, min_size: int = 0) -> None:
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise ValueError(
                f'image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}; '
                'read it with seg.datasets.imaging.read_image'
            )
        self.image_size = image.shape[:2]
        short, long = sorted(self.image_size)
        self.scale = max(1, min(math.ceil(min_size / short), MAX_ENLARGED_SIDE // long))
        self.pixels = image.copy()
        if self.scale > 1:
            size = (image.shape[1] * self.scale, image.shape[0] * self.scale)
            self.pixels = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
        short *= self.scale
        self.line_width = max(1, round(short / 300))
        self.cased_width = self.line_width + 2 * max(1, round(self.line_width / 2))
        self.font_size = int(np.clip(round(short / 34), 10, 72))
        self._chips: list[Rect] = []

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the canvas."""
        return self.pixels.shape[0], self.pixels.shape[1]

    def region(self, mask: np.ndarray) -> Region:
        """The part of the canvas that a mask of the image covers.

        Args:
            mask: (H, W), bool, at the size of the image.

        Raises:
            ValueError: If the mask has another size than the image.
        """
        if mask.shape != self.image_size:
            raise ValueError(
                f'mask: expected the size of the image {self.image_size}, got {mask.shape}; '
                'predictions belong on the image at its original size'
            )
        top, bottom, left, right = _bounds(mask, margin=3)
        part: np.ndarray = mask[top:bottom, left:right].astype(np.float32)
        factor = self.scale
        if factor > 1 and part.size:
            size = part.shape[1] * factor, part.shape[0] * factor
            part = cv2.resize(part, size, interpolation=cv2.INTER_LINEAR)
            part = cv2.GaussianBlur(part, (0, 0), 0.5 * factor, borderType=cv2.BORDER_REPLICATE)
            part = np.clip((part - 0.5) * factor + 0.5, 0, 1)
        window = slice(top * factor, bottom * factor), slice(left * factor, right * factor)
        return Region(window, part)

    def fill(self, region: Region, color: Color, alpha: float) -> None:
        """Tint the covered pixels with opacity ``alpha`` in [0, 1]."""
        self._blend(region.window, alpha * region.cover, color)

    def outline(self, region: Region, color: Color) -> None:
        """Draw the inner edge of a region; pixels outside it stay as they are.

        No line is drawn where the region ends with the picture.
        """
        if not region.cover.size:
            return
        # Repeated far enough outwards that lines along the picture's border fall outside it.
        margin = 2 * self.line_width + 2
        binary = np.pad((region.cover > 0.5).astype(np.uint8), margin, mode='edge')
        contours, _ = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
        line = np.zeros(binary.shape, dtype=np.uint8)
        cv2.drawContours(line, contours, -1, 255, 2 * self.line_width, cv2.LINE_AA)
        line = line[margin:-margin, margin:-margin]
        self._blend(region.window, line / np.float32(255) * region.cover, color)

    def label(self, text: str, mask: np.ndarray, color: Color) -> None:
        """Write a caption in or beside a region, clear of the captions written before.

        Args:
            text: Cut where it is wider than the picture; nothing is drawn for an empty one or an
                empty mask.
            mask: The region, (H, W) of the image, bool.
            color: RGB of the chip behind the text.
        """
        if not text or not mask.any():
            return
        room = self.pixels.shape[1] - self.font_size  # the chip is a little wider than its text
        chip = Chip.render(fit_text(text, room, self.font_size), self.font_size, color)
        rect = best_rect(chip.size, mask, self._chips, self.scale)
        chip.paste(self.pixels, rect)
        self._chips.append(rect)

    def box(self, xyxy: Sequence[float], color: Color) -> None:
        """Draw a box given in pixels of the image, (x1, y1, x2, y2)."""
        x1, y1, x2, y2 = (round(v * self.scale) for v in xyxy)
        corners = (x1, y1), (x2 - 1, y2 - 1)
        cv2.rectangle(self.pixels, *corners, _WHITE, self.cased_width)
        cv2.rectangle(self.pixels, *corners, color, self.line_width)

    def contour(self, mask: np.ndarray, color: Color) -> None:
        """Draw a line along the edge of a mask of the image, (H, W), bool, cased in white."""
        region = self.region(mask)
        if not region.cover.size:
            return
        rows, columns = region.window
        binary = (region.cover > 0.5).astype(np.uint8)
        offset = columns.start, rows.start
        contours, _ = cv2.findContours(binary, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE, offset=offset)
        for shade, width in ((_WHITE, self.cased_width), (color, self.line_width)):
            cv2.drawContours(self.pixels, contours, -1, shade, width, cv2.LINE_AA)

    def point(self, xy: Sequence[float], positive: bool) -> None:
        """Draw a click given in pixels of the image: green with a plus, or red with a minus."""
        # Four fractional bits keep the marker where the click is, between pixels too.
        shift, one = 4, 16
        center = tuple(round((v * self.scale - 0.5) * one) for v in xy)
        radius = max(4.0, self.font_size * 0.5)
        color = (34, 197, 94) if positive else (239, 68, 68)
        ring = max(1.5, radius * 0.22)
        for grow, shade in ((1.6 * ring, _INK), (ring, _WHITE), (0, color)):
            size = round((radius + grow) * one)
            cv2.circle(self.pixels, center, size, shade, -1, cv2.LINE_AA, shift)
        arm, width = round(radius * 0.55 * one), max(1, round(radius * 0.3))
        (x, y) = center
        cv2.line(self.pixels, (x - arm, y), (x + arm, y), _WHITE, width, cv2.LINE_AA, shift)
        if positive:
            cv2.line(self.pixels, (x, y - arm), (x, y + arm), _WHITE, width, cv2.LINE_AA, shift)
        reach = round(radius + 2 * ring)
        left, top = round(x / one) - reach, round(y / one) - reach
        self._chips.append(Rect(left, top, 2 * reach, 2 * reach))

    def _blend(self, window: tuple[slice, slice], weight: np.ndarray, color: Color) -> None:
        under = self.pixels[window].astype(np.float32)
        tint = np.asarray(color, dtype=np.float32)
        mixed = under + weight[..., None] * (tint - under)
        self.pixels[window] = np.rint(mixed).astype(np.uint8)


def _bounds(mask: np.ndarray, margin: int) -> tuple[int, int, int, int]:
    """Top, bottom, left and right of the pixels that are set, with a margin inside the image."""
    rows, columns = mask.any(axis=1).nonzero()[0], mask.any(axis=0).nonzero()[0]
    if not len(rows):
        return 0, 0, 0, 0
    height, width = mask.shape
    return (
        max(int(rows[0]) - margin, 0),
        min(int(rows[-1]) + 1 + margin, height),
        max(int(columns[0]) - margin, 0),
        min(int(columns[-1]) + 1 + margin, width),
    )
