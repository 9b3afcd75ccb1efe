"""The eight outlines of Shapes and their rasterisation.

Coordinates are continuous pixels: pixel (column i, row j) covers [i, i + 1) x [j, j + 1).
"""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np

from seg.datasets.shapes.palette import SHAPES_THINGS

UNIT_AREA = 2.36
"""Area of every outline at radius 1: size says nothing about the class."""

SUPERSAMPLING = 2
_SUBPIXEL_BITS = 4


class Outline(NamedTuple):
    """One class's outline around its centroid.

    Attributes:
        points: Vertices of all contours one after another, (P, 2), at radius 1.
        splits: Where a new contour starts in ``points``; a second contour is a hole.
        core: Radius of the disc around the centroid that lies inside; 0 if there is none.
        reach: Largest distance of a vertex from the centroid.
    """

    points: np.ndarray
    splits: tuple[int, ...]
    core: float
    reach: float


class Coverage(NamedTuple):
    """How an outline covers the pixels of a window of the frame.

    Attributes:
        top: First row of the window.
        left: First column of the window.
        alpha: Covered share of each pixel in 1/255, (h, w), uint8.
        mask: Pixels covered by at least one half, (h, w), bool.
        full_area: Pixels that the outline would cover if the frame had no border.
    """

    top: int
    left: int
    alpha: np.ndarray
    mask: np.ndarray
    full_area: int

    def window(self, frame: np.ndarray) -> np.ndarray:
        """The view of ``frame`` (H, W, ...) that the window covers."""
        height, width = self.alpha.shape
        return frame[self.top : self.top + height, self.left : self.left + width]


def _arc(radius: float, start: float, stop: float, count: int, center_x: float = 0.0) -> np.ndarray:
    angles = np.linspace(start, stop, count, endpoint=False)
    return np.stack([center_x + radius * np.cos(angles), radius * np.sin(angles)], axis=1)


def _polygon(corners: list[tuple[float, float]], per_edge: int) -> np.ndarray:
    """Corners with ``per_edge`` points on each edge, so that bending can curve the edges."""
    vertices = np.array(corners, dtype=np.float64)
    steps = np.linspace(0, 1, per_edge, endpoint=False)[None, :, None]
    edges = vertices[:, None] * (1 - steps) + np.roll(vertices, -1, axis=0)[:, None] * steps
    return edges.reshape(-1, 2)


def _star(tips: int, inner: float) -> list[tuple[float, float]]:
    radii = [1.0, inner] * tips
    angles = np.pi * np.arange(2 * tips) / tips
    return [(r * np.sin(a), -r * np.cos(a)) for r, a in zip(radii, angles, strict=True)]


def _crescent() -> np.ndarray:
    """A unit disc less a disc of radius 0.8 around (0.5, 0)."""
    outer = np.arccos(0.61)
    inner = np.arctan2(np.sin(outer), 0.11)
    return np.concatenate(
        [
            _arc(1.0, outer, 2 * np.pi - outer, 30),
            _arc(0.8, 2 * np.pi - inner, inner, 22, center_x=0.5),
        ]
    )


def signed_area(points: np.ndarray) -> float:
    """Area of one closed contour (P, 2) by the shoelace formula, negative for one direction."""
    x, y = points[:, 0], points[:, 1]
    return 0.5 * float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))


def _centroid(points: np.ndarray) -> np.ndarray:
    following = np.roll(points, -1, axis=0)
    cross = points[:, 0] * following[:, 1] - points[:, 1] * following[:, 0]
    return ((points + following) * cross[:, None]).sum(axis=0) / (3 * cross.sum())


def _contours(name: str) -> list[np.ndarray]:
    arm = 0.34
    quarter = [(-arm, -1.0), (arm, -1.0), (arm, -arm)]
    half = quarter + [(-y, x) for x, y in quarter]
    corners: dict[str, list[tuple[float, float]]] = {
        'square': [(-1, -1), (1, -1), (1, 1), (-1, 1)],
        'triangle': [(0, -1), (0.866, 0.5), (-0.866, 0.5)],
        'star': _star(5, 0.42),
        'hourglass': [(-0.85, -1), (0.85, -1), (0.16, 0), (0.85, 1), (-0.85, 1), (-0.16, 0)],
        'cross': half + [(-x, -y) for x, y in half],
    }
    if name in corners:
        return [_polygon(corners[name], per_edge=max(3, 36 // len(corners[name])))]
    if name == 'crescent':
        return [_crescent()]
    circle = _arc(1.0, 0, 2 * np.pi, 40)
    return [circle] if name == 'disc' else [circle, circle[::-1] * 0.52]


def _outline(name: str) -> Outline:
    contours = _contours(name)
    center = _centroid(contours[0])
    area = abs(sum(signed_area(contour) for contour in contours))
    points = (np.concatenate(contours) - center) * np.sqrt(UNIT_AREA / area)
    distances = np.linalg.norm(points, axis=1)
    solid = name not in ('ring', 'crescent')
    return Outline(
        points=points,
        splits=tuple(np.cumsum([len(contour) for contour in contours])[:-1].tolist()),
        core=float(distances.min()) if solid else 0.0,
        reach=float(distances.max()),
    )


OUTLINES: tuple[Outline, ...] = tuple(_outline(name) for name in SHAPES_THINGS)
"""One outline per thing class, in the order of ``SHAPES_THINGS``."""


def cover(points: np.ndarray, splits: tuple[int, ...], size: tuple[int, int]) -> Coverage | None:
    """Rasterise contours inside a frame.

    Args:
        points: Vertices of all contours, (P, 2), x and y in pixels.
        splits: Where a new contour starts in ``points``.
        size: Height and width of the frame.

    Returns:
        The covered window of the frame, or ``None`` if the outline lies outside of it.
    """
    left, top = np.floor(points.min(axis=0)).astype(int).tolist()
    right, bottom = np.ceil(points.max(axis=0)).astype(int).tolist()
    inside = _clip(top - 1, bottom + 1, size[0]), _clip(left - 1, right + 1, size[1])
    rows, columns = inside
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return None
    # An outline larger than the frame is a region without a full area of interest.
    if bottom - top > 2 * size[0] + 2 or right - left > 2 * size[1] + 2:
        top, bottom, left, right = (
            rows.start + 1,
            rows.stop - 1,
            columns.start + 1,
            columns.stop - 1,
        )
    top, left = top - 1, left - 1
    alpha = _fill(points - (left, top), splits, bottom + 1 - top, right + 1 - left)
    mask = alpha >= 128
    full_area = int(np.count_nonzero(mask))
    cut = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    return Coverage(rows.start, columns.start, alpha[cut], mask[cut], full_area)


def _clip(start: int, stop: int, limit: int) -> slice:
    return slice(max(start, 0), min(stop, limit))


def _fill(points: np.ndarray, splits: tuple[int, ...], height: int, width: int) -> np.ndarray:
    """Covered share of each pixel of a window in 1/255, (height, width), uint8."""
    fine = np.zeros((height * SUPERSAMPLING, width * SUPERSAMPLING), np.uint8)
    scaled = (points * SUPERSAMPLING - 0.5) * (1 << _SUBPIXEL_BITS)
    vertices = np.rint(scaled).astype(np.int32)
    contours = np.split(vertices, splits) if splits else [vertices]
    cv2.fillPoly(fine, contours, 255, shift=_SUBPIXEL_BITS)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)
