"""How the things and the camera of Shapes move; frame 0 is where they start.

In images, class, colour, texture and size are independent. In clips with a planned occlusion the
thing in front is large and of a class that can hide another, and the one behind is small.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from seg.datasets.shapes.outlines import OUTLINES
from seg.datasets.shapes.scene import MIN_RADIUS, Form, Scene, Thing, length_scale, rotation

TURNING_FRAME = 40
"""Frame at which drifting things and the camera turn back, so that long clips stay inhabited."""

EVENT_FRAMES = 24
"""Shortest clip in which a full occlusion is planned."""

EVENT_SHARE = 0.4
MIN_CORE = 0.45
"""Smallest inner radius, at radius 1, of an outline that can hide another."""

MIN_HIDDEN_FRAMES = 5.5
CAMERA_SHARE = 1 / 3
ENTERING_SHARE = 0.25
ENTERING_FRAMES = 6
"""Shortest clip in which things start outside the frame."""


@dataclass(frozen=True)
class Motion:
    """Path of one thing relative to its form in frame 0.

    Attributes:
        velocity: Drift in pixels per frame, (2,).
        sway: Amplitude of the swaying, in pixels, (2,).
        spin: Rotation in radians per frame.
        growth: Amplitude of the logarithm of the radius.
        wobble: Amplitude of the logarithm of the stretch.
        rates: Radians per frame of sway, growth and wobble, (3,).
        phases: Phases of the three in frame 0, (3,).
    """

    velocity: np.ndarray
    sway: np.ndarray
    spin: float
    growth: float
    wobble: float
    rates: np.ndarray
    phases: np.ndarray

    def at(self, form: Form, frame_index: int) -> Form:
        """The form in one frame."""
        if frame_index == 0:
            return form
        swing = np.sin(self.rates * frame_index + self.phases) - np.sin(self.phases)
        drift = self.velocity * swung(frame_index)
        return replace(
            form,
            center=form.center + drift + self.sway * swing[0],
            angle=form.angle + self.spin * frame_index,
            radius=form.radius * float(np.exp(self.growth * swing[1])),
            stretch=form.stretch * float(np.exp(self.wobble * swing[2])),
        )


@dataclass(frozen=True)
class CameraMotion:
    """Pan, roll and zoom about the middle of the frame.

    Attributes:
        velocity: Pan in pixels per frame, (2,).
        roll: Radians per frame.
        zoom: Logarithm of the magnification per frame.
    """

    velocity: np.ndarray
    roll: float
    zoom: float

    def at(self, frame_index: int, size: tuple[int, int]) -> np.ndarray:
        """Map of world coordinates (x, y, 1) to one frame's, (2, 3)."""
        steps = swung(frame_index)
        linear = rotation(self.roll * steps) * np.exp(self.zoom * steps)
        middle = np.array([size[1] / 2, size[0] / 2])
        offset = middle + self.velocity * steps - linear @ middle
        return np.concatenate([linear, offset[:, None]], axis=1)


@dataclass(frozen=True)
class Play:
    """Everything that moves in a clip.

    Attributes:
        things: Things in frame 0, back to front; some may start outside the frame.
        motions: One path per thing.
        camera: Motion of the camera, ``None`` if it stands still.
        has_event: Whether one thing was sent behind another for 5 to 15 frames.
    """

    things: list[Thing]
    motions: list[Motion]
    camera: CameraMotion | None
    has_event: bool

    def keep(self, chosen: np.ndarray) -> Play:
        """The same play with some of its things, by flags (N,), bool."""
        return replace(
            self,
            things=[thing for thing, kept in zip(self.things, chosen, strict=True) if kept],
            motions=[motion for motion, kept in zip(self.motions, chosen, strict=True) if kept],
        )


def swung(frame_index: int) -> int:
    """Frames of drift: grows up to the turning frame, shrinks back to 0, and so on."""
    return TURNING_FRAME - abs(frame_index % (2 * TURNING_FRAME) - TURNING_FRAME)


def draw_play(rng: np.random.Generator, scene: Scene, num_frames: int, wants_event: bool) -> Play:
    """Draw how a scene moves.

    Args:
        rng: Source of randomness.
        scene: The scene in frame 0.
        num_frames: Frames of the clip.
        wants_event: Whether to send one thing behind another, if two of them allow it.
    """
    scale = length_scale(scene.size)
    things = list(scene.things)
    motions = [_draw_motion(rng, scale) for _ in things]
    camera = _draw_camera(rng, scale) if rng.random() < CAMERA_SHARE else None
    event = _plan_event(rng, scene, things, motions, num_frames) if wants_event else ()
    if num_frames >= ENTERING_FRAMES:
        for index in range(len(things)):
            if index not in event and rng.random() < ENTERING_SHARE:
                things[index], motions[index] = _entering(
                    rng, things[index], motions[index], scene.size, num_frames
                )
    return Play(things, motions, camera, bool(event))


def _draw_motion(rng: np.random.Generator, scale: float) -> Motion:
    direction, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.2, 2.6) * scale
    return Motion(
        velocity=speed * np.array([np.cos(direction), np.sin(direction)]),
        sway=rng.uniform(0, 3, 2) * scale,
        spin=rng.uniform(-0.08, 0.08),
        growth=rng.uniform(0, 0.15),
        wobble=rng.uniform(0, 0.12),
        rates=rng.uniform(0.1, 0.3, 3),
        phases=rng.uniform(0, 2 * np.pi, 3),
    )


def _draw_camera(rng: np.random.Generator, scale: float) -> CameraMotion:
    direction, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.4) * scale
    return CameraMotion(
        velocity=speed * np.array([np.cos(direction), np.sin(direction)]),
        roll=rng.uniform(-0.006, 0.006),
        zoom=rng.uniform(-0.004, 0.004),
    )


def _entering(
    rng: np.random.Generator,
    thing: Thing,
    motion: Motion,
    size: tuple[int, int],
    num_frames: int,
) -> tuple[Thing, Motion]:
    """A thing that starts outside the frame and comes in during the clip."""
    form, extent = thing.form, np.array([size[1], size[0]], dtype=np.float64)
    aim = rng.uniform(0.25, 0.75, 2) * extent
    axis, side = int(rng.integers(2)), int(rng.integers(2))
    start = rng.uniform(0, 1, 2) * extent
    outside = OUTLINES[form.label].reach * form.radius * 1.2 + 2
    start[axis] = extent[axis] + outside if side else -outside
    way = aim - start
    speed = rng.uniform(1.6, 3.0) * length_scale(size) * max(1.0, 20 / num_frames)
    velocity = speed * way / np.linalg.norm(way)
    early = rng.uniform(0, 0.4) * min(num_frames, TURNING_FRAME)
    moved = replace(form, center=start - velocity * early)
    return replace(thing, form=moved), replace(motion, velocity=velocity)


def _plan_event(
    rng: np.random.Generator,
    scene: Scene,
    things: list[Thing],
    motions: list[Motion],
    num_frames: int,
) -> tuple[int, ...]:
    """Send a small thing straight behind a large solid one, in the middle of the clip.

    Returns:
        The indices of the two things, whose forms and motions are replaced; none if their
        outlines do not allow it.
    """
    scale = length_scale(scene.size)
    solid = [i for i, thing in enumerate(things) if OUTLINES[thing.form.label].core > MIN_CORE]
    if not solid:
        return ()
    ahead = int(rng.choice(solid))
    behind = int(rng.choice([i for i in range(len(things)) if i != ahead]))
    large = max(things[ahead].form.radius, rng.uniform(22, 27) * scale)
    small = max(min(things[behind].form.radius, rng.uniform(7.5, 9.5) * scale), MIN_RADIUS)
    start = np.array(scene.size[::-1]) * rng.uniform(0.35, 0.65, 2)
    hider = replace(things[ahead].form, radius=large, center=start, stretch=1.0, bend=0.0)
    outline = OUTLINES[hider.label]
    slack = 0.95 * outline.core * large - 1.05 * OUTLINES[things[behind].form.label].reach * small
    direction, extent = _thinnest_way(rng, hider)
    middle = min(num_frames, TURNING_FRAME) * rng.uniform(0.45, 0.55)
    speed = max(2 * slack / rng.uniform(7, 13), (0.9 * extent + 0.7 * small) / middle)
    if 2 * slack / speed < MIN_HIDDEN_FRAMES:
        return ()
    calm = replace(
        motions[ahead],
        velocity=0.3 * motions[ahead].velocity,
        growth=0.0,
        wobble=0.0,
        spin=0.15 * motions[ahead].spin,
    )
    course = speed * direction
    hidden = replace(
        things[behind].form, radius=small, center=start - course * middle, stretch=1.0, bend=0.0
    )
    pair = replace(things[behind], form=hidden), replace(things[ahead], form=hider)
    back, front = sorted((ahead, behind))
    things[back], things[front] = pair
    motions[back] = replace(calm, velocity=calm.velocity + course)
    motions[front] = calm
    return back, front


def _thinnest_way(rng: np.random.Generator, form: Form) -> tuple[np.ndarray, float]:
    """A direction along which a form is short to both sides, and how far it reaches there."""
    offsets = form.points() - form.center
    angles = rng.uniform(0, np.pi) + np.linspace(0, np.pi, 12, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    along = offsets @ directions.T
    # Vertices within a narrow strip around each line through the centroid, (P, directions).
    across = np.abs(offsets @ np.stack([-directions[:, 1], directions[:, 0]]))
    reaches = np.where(across < 0.3 * form.radius, np.abs(along), 0).max(axis=0)
    choice = int(rng.choice(np.argsort(reaches, kind='stable')[:3]))
    way = directions[choice] * (1 if rng.random() < 0.5 else -1)
    return way, float(reaches[choice])
