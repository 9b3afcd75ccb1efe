"""What is in a scene of Shapes: its stuff regions and its things as they lie in frame 0."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from seg.datasets.shapes.outlines import OUTLINES, Coverage, cover
from seg.datasets.shapes.palette import COLORS_CLASH, SHAPES_STUFF, SHAPES_THINGS
from seg.datasets.shapes.textures import TEXTURES, Fill, Look, draw_fill, draw_look

MIN_VISIBLE = 40
"""Smallest visible area of a segment of an image, in pixels."""

MIN_VISIBLE_SHARE = 0.3
"""Smallest visible share of a thing of an image."""

MIN_STUFF_SHARE = 0.05
"""Smallest visible share of the image of a stuff region."""

NUM_THINGS = (3, 8)
REFERENCE_HEIGHT = 128
"""Frame height at which lengths are given; they grow with the smaller side of the frame."""

RADII = (8.0, 27.0)
MIN_RADIUS = 5.0
PLACEMENT_TRIES = 8
TWIN_SHARE = 0.09
NEIGHBOR_SHARE = 0.36
BORDER_SHARE = 0.1


@dataclass(frozen=True)
class Form:
    """Outline, place and deformation of one thing.

    Attributes:
        label: Index into ``SHAPES_THINGS``.
        radius: Square root of its area over ``UNIT_AREA``, in pixels.
        center: Centroid (x, y) in pixels.
        angle: Rotation in radians.
        stretch: Length ratio of the stretched to the squeezed axis.
        stretch_axis: Direction of the stretched axis before rotation, in radians.
        bend: Sideways shift at radius 1 per squared height at radius 1.
    """

    label: int
    radius: float
    center: np.ndarray
    angle: float
    stretch: float
    stretch_axis: float
    bend: float

    def points(self) -> np.ndarray:
        """Vertices of its contours, (P, 2), in pixels."""
        points = OUTLINES[self.label].points.copy()
        points[:, 0] += self.bend * (points[:, 1] ** 2 - 0.35)
        turn = rotation(self.stretch_axis)
        linear = rotation(self.angle) @ turn * (self.stretch**0.5, self.stretch**-0.5) @ turn.T
        return points @ (linear.T * self.radius) + self.center

    def cover(self, size: tuple[int, int]) -> Coverage | None:
        """Rasterise it inside a frame of the given height and width."""
        return cover(self.points(), OUTLINES[self.label].splits, size)


@dataclass(frozen=True)
class Thing:
    """One thing: its form in frame 0 and its colours, drawn independently of the form."""

    form: Form
    fill: Fill


@dataclass(frozen=True)
class Stuff:
    """One stuff region: all that lies beyond a wavy border and under no later region.

    Attributes:
        label: Index into ``SHAPES_STUFF``.
        border: Closed contour (P, 2) in pixels; ``None`` for the whole plane.
        fill: Its colours.
    """

    label: int
    border: np.ndarray | None
    fill: Fill


@dataclass(frozen=True)
class Scene:
    """A scene in frame 0.

    Attributes:
        size: Height and width of the frame.
        stuff: Regions, back to front.
        things: Things, back to front.
        look: What the camera does to the colours.
    """

    size: tuple[int, int]
    stuff: list[Stuff]
    things: list[Thing]
    look: Look


class Layers(NamedTuple):
    """What covers what in one frame.

    Attributes:
        camera: Map of world coordinates (x, y, 1) to the frame's, (2, 3).
        forms: Form of each thing in the world.
        stuff: Coverage of each region; ``None`` where it covers nothing or all.
        things: Coverage of each thing; ``None`` where it lies outside the frame.
        owner: Foremost layer of each pixel, things from 0, then stuff, (H, W), int32.
    """

    camera: np.ndarray
    forms: list[Form]
    stuff: list[Coverage | None]
    things: list[Coverage | None]
    owner: np.ndarray


STILL_CAMERA = np.eye(2, 3)


def length_scale(size: tuple[int, int]) -> float:
    """Factor of all lengths for a frame of the given height and width."""
    return min(size) / REFERENCE_HEIGHT


def rotation(angle: float) -> np.ndarray:
    """Rotation by an angle in radians, (2, 2)."""
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine], [sine, cosine]])


def draw_scene(rng: np.random.Generator, size: tuple[int, int]) -> tuple[Scene, Layers] | None:
    """Draw a scene.

    Args:
        rng: Source of randomness.
        size: Height and width of the frame.

    Returns:
        The scene and its layers, or ``None`` if its things found no place or hid a region; draw
        again then.
    """
    stuff = _draw_stuff(rng, size)
    owner = np.zeros(size, np.int32)
    covers = [None if region.border is None else cover(region.border, (), size) for region in stuff]
    for index, covered in enumerate(covers):
        if covered is not None:
            covered.window(owner)[covered.mask] = index
    placer = _Placer(rng, size, owner, [region.fill.color for region in stuff])
    for _ in range(int(rng.integers(NUM_THINGS[0], NUM_THINGS[1] + 1))):
        placer.add()
    things = placer.things
    areas = np.bincount(owner.ravel(), minlength=len(stuff))[: len(stuff)]
    if len(things) < NUM_THINGS[0] or areas.min() < MIN_STUFF_SHARE * owner.size:
        return None
    things_first = np.roll(np.arange(len(stuff) + len(things), dtype=np.int32), len(stuff))
    forms = [thing.form for thing in things]
    layers = Layers(STILL_CAMERA, forms, covers, placer.covers, things_first[owner])
    return Scene(size, stuff, things, draw_look(rng, length_scale(size))), layers


def _draw_stuff(rng: np.random.Generator, size: tuple[int, int]) -> list[Stuff]:
    """Two or three regions of different classes in colours that can be told apart."""
    scale = length_scale(size)
    labels = rng.permutation(len(SHAPES_STUFF))[: 3 if rng.random() < 0.6 else 2]
    angle = rng.uniform(0, 2 * np.pi)
    offsets = [-0.17, 0.17] if len(labels) == 3 else [0.0]
    colors: list[int] = []
    regions = []
    for index, label in enumerate(labels.tolist()):
        allowed = ~COLORS_CLASH[colors].any(axis=0)
        color = int(rng.choice(np.flatnonzero(allowed)))
        colors.append(color)
        border = None
        if index > 0:
            offset = offsets[index - 1] + rng.uniform(-0.13, 0.13)
            border = _wavy_border(rng, size, angle + rng.uniform(-0.5, 0.5), offset)
        regions.append(Stuff(label, border, draw_fill(rng, color, label, scale)))
    return regions


def _wavy_border(
    rng: np.random.Generator, size: tuple[int, int], angle: float, offset: float
) -> np.ndarray:
    """Contour of a half-plane whose edge is a sum of two waves, (P, 2), in pixels."""
    height, width = size
    extent = float(np.hypot(height, width))
    along = np.linspace(-1.5, 1.5, 97) * extent
    waves = rng.uniform((0.02, 0.01), (0.05, 0.025)) * extent
    periods = rng.uniform((0.35, 0.12), (0.7, 0.25)) * extent
    phases = rng.uniform(0, 2 * np.pi, 2)
    across = offset * extent + (waves * np.sin(2 * np.pi * along[:, None] / periods + phases)).sum(
        axis=1
    )
    edge = np.stack([along, across], axis=1)
    far = np.array([[1.5 * extent, 3 * extent], [-1.5 * extent, 3 * extent]])
    return np.concatenate([edge, far]) @ rotation(angle).T + (width / 2, height / 2)


class _Placer:
    """Puts things into frame 0 one after another, each in front of the ones before.

    Args:
        rng: Source of randomness.
        size: Height and width of the frame.
        owner: Stuff index of each pixel; things are written into it as they are placed.
        stuff_colors: Colour of each stuff region.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        size: tuple[int, int],
        owner: np.ndarray,
        stuff_colors: list[int],
    ) -> None:
        self.rng = rng
        self.size = size
        self.owner = owner
        self.stuff_colors = stuff_colors
        self.scale = length_scale(size)
        self.things: list[Thing] = []
        self.covers: list[Coverage | None] = []
        self._visible: list[int] = []
        self._needed: list[float] = []

    def add(self) -> None:
        """Draw a thing and place it; leave it out if no place of several is good."""
        rng = self.rng
        twin = self._draw_twin()
        label = int(rng.integers(len(SHAPES_THINGS)))
        texture = int(rng.integers(len(TEXTURES)))
        form = Form(
            label=label if twin is None else twin.form.label,
            radius=max(float(np.exp(rng.uniform(*np.log(RADII)))) * self.scale, MIN_RADIUS),
            center=np.zeros(2),
            angle=rng.uniform(0, 2 * np.pi),
            stretch=rng.uniform(1, 1.3),
            stretch_axis=rng.uniform(0, np.pi),
            bend=rng.uniform(-0.12, 0.12),
        )
        for _ in range(PLACEMENT_TRIES):
            form = replace(form, center=self._draw_center(form.radius))
            covered = form.cover(self.size)
            if covered is None:
                continue
            hits = self._hits(covered)
            color = self._draw_color(hits, twin)
            if color is not None and self._fits(covered, hits):
                fill = draw_fill(rng, color, texture, self.scale)
                self._commit(Thing(form, fill), covered, hits)
                return

    def _draw_twin(self) -> Thing | None:
        """An earlier thing whose class and colour are to be repeated, or none."""
        if not self.things or self.rng.random() > TWIN_SHARE:
            return None
        return self.things[int(self.rng.integers(len(self.things)))]

    def _draw_center(self, radius: float) -> np.ndarray:
        """Near an earlier thing, at the border, or anywhere."""
        rng, (height, width) = self.rng, self.size
        kind = rng.random()
        if kind < NEIGHBOR_SHARE and self.things:
            other = self.things[int(rng.integers(len(self.things)))]
            angle = rng.uniform(0, 2 * np.pi)
            distance = rng.uniform(0.45, 1.0) * (radius + other.form.radius)
            return other.form.center + distance * np.array([np.cos(angle), np.sin(angle)])
        inset = 0.5 * radius
        center = rng.uniform((inset, inset), (width - inset, height - inset))
        if kind > 1 - BORDER_SHARE:
            axis = int(rng.integers(2))
            depth = rng.uniform(-0.1, 0.5) * radius
            center[axis] = depth if rng.random() < 0.5 else (width, height)[axis] - depth
        return center

    def _hits(self, covered: Coverage) -> np.ndarray:
        """Pixels that a new thing takes from each region and each thing."""
        taken = covered.window(self.owner)[covered.mask]
        return np.bincount(taken, minlength=len(self.stuff_colors) + len(self.things))

    def _draw_color(self, hits: np.ndarray, twin: Thing | None) -> int | None:
        """A colour that is seen on the regions below; the twin's, or none, if that is not."""
        shares = hits[: len(self.stuff_colors)] / max(int(hits.sum()), 1)
        below = [c for c, share in zip(self.stuff_colors, shares, strict=True) if share > 0.05]
        allowed = ~COLORS_CLASH[below].any(axis=0)
        if twin is not None:
            return twin.fill.color if allowed[twin.fill.color] else None
        choices = np.flatnonzero(allowed)
        return int(choices[int(self.rng.integers(len(choices)))])

    def _fits(self, covered: Coverage, hits: np.ndarray) -> bool:
        """Whether the new thing and all those it hides in part stay visible enough."""
        if hits.sum() < _needed_pixels(covered):
            return False
        lost = hits[len(self.stuff_colors) :]
        return all(
            count == 0 or seen - count >= needed
            for count, seen, needed in zip(lost.tolist(), self._visible, self._needed, strict=True)
        )

    def _commit(self, thing: Thing, covered: Coverage, hits: np.ndarray) -> None:
        first = len(self.stuff_colors)
        covered.window(self.owner)[covered.mask] = first + len(self.things)
        for index, count in enumerate(hits[first:].tolist()):
            self._visible[index] -= count
        self._visible.append(int(hits.sum()))
        self._needed.append(_needed_pixels(covered))
        self.covers.append(covered)
        self.things.append(thing)


def _needed_pixels(covered: Coverage) -> float:
    return max(MIN_VISIBLE, MIN_VISIBLE_SHARE * covered.full_area)
