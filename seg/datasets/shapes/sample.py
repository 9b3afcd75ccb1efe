"""What the Shapes world hands out: clips and everything known about them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from seg.datasets.shapes.expressions import NamedThing, write_expressions
from seg.datasets.shapes.palette import SHAPES_THINGS
from seg.datasets.shapes.scene import MIN_VISIBLE, length_scale
from seg.datasets.shapes.textures import Look

HIDDEN_FRAMES = (5, 15)
"""Fewest and most frames of what counts as a full occlusion."""


@dataclass(frozen=True, eq=False)
class ShapesAnnotations:
    """Everything known about one clip but its pixels; an image has one frame.

    Things come first (back to front), then stuff; segment k of the map is row k - 1.

    Attributes:
        segment_map: Segment of each pixel, 1..N; there is no void, (T, H, W), int32.
        labels: Class of each segment, things before stuff, (N,), int64.
        object_ids: Identity of each segment in the clip, 1..N, (N,), int64.
        is_thing: Whether a segment is countable, (N,), bool.
        colors: Name of each segment's colour.
        textures: Kind of each segment's fill.
        radii: Size of each thing in frame 0, 0 for stuff, in pixels, (N,), float64.
        full_areas: Area of each thing in each frame were nothing in front of it and no border, 0
            for stuff and for things outside the frame, in pixels, (N, T), int64.
        inside_areas: The part of ``full_areas`` that lies in the frame, (N, T), int64.
        visible_areas: Pixels of each segment in each frame, (N, T), int64.
        camera_moves: Whether the camera moves.
        look: Noise, blur, brightness and contrast.
        expression_seed: Entropy of the choice of expressions.
    """

    segment_map: np.ndarray
    labels: np.ndarray
    object_ids: np.ndarray
    is_thing: np.ndarray
    colors: tuple[str, ...]
    textures: tuple[str, ...]
    radii: np.ndarray
    full_areas: np.ndarray
    inside_areas: np.ndarray
    visible_areas: np.ndarray
    camera_moves: bool
    look: Look
    expression_seed: tuple[int, ...]

    @cached_property
    def expressions(self) -> list[str | None]:
        """One per segment: words that name it alone in frame 0.

        ``None`` for stuff, for things that frame 0 does not show with 40 pixels, and where no
        expression is clear.
        """
        frame = self.segment_map[0]
        scale = length_scale(frame.shape)
        shown = np.flatnonzero(self.is_thing & (self.visible_areas[:, 0] > 0)).tolist()
        things = []
        for index in shown:
            rows, columns = np.divmod(np.flatnonzero(frame == index + 1), frame.shape[1])
            things.append(
                NamedThing(
                    noun=SHAPES_THINGS[self.labels[index]],
                    color=self.colors[index],
                    radius=float(self.radii[index]) / scale,
                    x=int(columns.sum()) / len(columns) / scale,
                    y=int(rows.sum()) / len(rows) / scale,
                )
            )
        rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(self.expression_seed)))
        expressions: list[str | None] = [None] * len(self.labels)
        for index, words in zip(shown, write_expressions(rng, things), strict=True):
            if self.visible_areas[index, 0] >= MIN_VISIBLE:
                expressions[index] = words
        return expressions


@dataclass(frozen=True, eq=False)
class ShapesSample(ShapesAnnotations):
    """One clip with its annotations.

    Attributes:
        clip: RGB frames, (T, H, W, 3), uint8.
    """

    clip: np.ndarray


def count_pixels(segment_map: np.ndarray, num_segments: int) -> np.ndarray:
    """Pixels of segments 1..N in each frame of a map (T, H, W), (N, T), int64."""
    counts = [np.bincount(m.ravel(), minlength=num_segments + 1)[1:] for m in segment_map]
    return np.stack(counts, axis=1)


class Occlusion(NamedTuple):
    """A thing is hidden by others.

    Attributes:
        thing: Which, counted from 0.
        start: First frame that does not show it.
        stop: Frame behind the last.
    """

    thing: int
    start: int
    stop: int


def find_occlusions(visible_areas: np.ndarray, inside_areas: np.ndarray) -> list[Occlusion]:
    """Where things vanish behind others for 5 to 15 frames and are seen before and after.

    Args:
        visible_areas: Visible pixels of each thing in each frame, (N, T).
        inside_areas: Its pixels inside the frame, hidden or not, (N, T).
    """
    found = []
    for index, (visible, inside) in enumerate(zip(visible_areas, inside_areas, strict=True)):
        hidden = (inside >= MIN_VISIBLE) & (visible == 0)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(np.int8), [0]])))
        for start, stop in edges.reshape(-1, 2).tolist():
            seen = min(visible[:start].max(initial=0), visible[stop:].max(initial=0))
            lasting = HIDDEN_FRAMES[0] <= stop - start <= HIDDEN_FRAMES[1]
            if lasting and seen >= MIN_VISIBLE:
                found.append(Occlusion(index, start, stop))
    return found
