"""The Shapes world: images and clips as a pure function of version, seed, index and size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from seg.datasets.shapes.motion import EVENT_FRAMES, EVENT_SHARE, Play, draw_play
from seg.datasets.shapes.palette import COLOR_NAMES, SHAPES_THINGS
from seg.datasets.shapes.renderer import lay_out, paint_frame
from seg.datasets.shapes.scene import MIN_VISIBLE, NUM_THINGS, Layers, Scene, draw_scene
from seg.datasets.shapes.textures import TEXTURES
from seg.utils.checks import unknown_name_message

SHAPES_VERSIONS = ('v1',)
MIN_SIZE = 48
MAX_ATTEMPTS = 200
MAX_EVENT_ATTEMPTS = 12


@dataclass(frozen=True)
class ShapesSample:
    """One clip with everything known about it; an image has one frame.

    Things come first (back to front), then stuff; segment k of the map is row k - 1.

    Attributes:
        clip: RGB frames, (T, H, W, 3), uint8.
        segment_map: Segment of each pixel, 1..N; there is no void, (T, H, W), int32.
        labels: Class of each segment, things before stuff, (N,), int64.
        object_ids: Identity of each segment in the clip, 1..N, (N,), int64.
        is_thing: Whether a segment is countable, (N,), bool.
        colors: Name of each segment's colour.
        textures: Kind of each segment's fill.
        radii: Size of each thing in frame 0, 0 for stuff, in pixels, (N,), float64.
        full_areas: Area of each thing in each frame were nothing in front of it and no
            border, 0 for stuff and for things outside the frame, in pixels, (N, T), int64.
        inside_areas: The part of ``full_areas`` that lies in the frame, (N, T), int64.
        camera_moves: Whether the camera moves.
        expressions: One per segment: words that name it alone in frame 0, or ``None``.
    """

    clip: np.ndarray
    segment_map: np.ndarray
    labels: np.ndarray
    object_ids: np.ndarray
    is_thing: np.ndarray
    colors: tuple[str, ...]
    textures: tuple[str, ...]
    radii: np.ndarray
    full_areas: np.ndarray
    inside_areas: np.ndarray
    camera_moves: bool
    expressions: list[str | None]

    def visible_areas(self) -> np.ndarray:
        """Pixels of each segment in each frame, (N, T), int64."""
        return count_pixels(self.segment_map, len(self.labels))


def count_pixels(segment_map: np.ndarray, num_segments: int) -> np.ndarray:
    """Pixels of segments 1..N in each frame of a map (T, H, W), (N, T), int64."""
    counts = [np.bincount(m.ravel(), minlength=num_segments + 1)[1:] for m in segment_map]
    return np.stack(counts, axis=1)


class ShapesWorld:
    """An endless, reproducible world of images and clips.

    A sample depends on ``version``, ``seed``, its index, the frame size and the number of frames
    alone: not on what was generated before, on the process or on global random state. The pixels
    are reproducible for one version of NumPy and OpenCV.

    OpenCV's own threads do not help on frames of this size; a process that generates many samples
    is fastest after ``cv2.setNumThreads(0)``, which is left to the caller.

    Args:
        version: Definition of the world; ``'v1'``.
        seed: Which world; >= 0.
        size: Height and width of the frames, each >= 48.

    Raises:
        ValueError: If the version is unknown, the seed negative or the size too small.
    """

    def __init__(
        self, version: str = 'v1', seed: int = 0, size: tuple[int, int] = (128, 160)
    ) -> None:
        if version not in SHAPES_VERSIONS:
            raise ValueError(unknown_name_message('version of Shapes', version, SHAPES_VERSIONS))
        if seed < 0:
            raise ValueError(f'seed: expected an integer >= 0, got {seed}; choose another seed')
        if len(size) != 2 or min(size) < MIN_SIZE:
            raise ValueError(
                f'size: expected (height, width) of at least {MIN_SIZE} pixels each, '
                f'got {tuple(size)}; choose a larger size'
            )
        self.version = version
        self.seed = int(seed)
        self.size = (int(size[0]), int(size[1]))

    def image(self, index: int) -> ShapesSample:
        """The image of an index: a clip of one frame.

        Raises:
            ValueError: If the index is negative.
        """
        return self.clip(index, 1)

    def clip(self, index: int, num_frames: int) -> ShapesSample:
        """The clip of an index.

        Clips of different lengths have different motions.

        Args:
            index: Which sample, >= 0.
            num_frames: Frames of the clip, >= 1.

        Raises:
            ValueError: If the index is negative or there are no frames.
        """
        if index < 0:
            raise ValueError(f'index: expected an integer >= 0, got {index}; count from 0')
        if num_frames < 1:
            raise ValueError(f'num_frames: expected an integer >= 1, got {num_frames}')
        scene, play, layers = self._draw(index, num_frames)
        return _render(scene, play, layers)

    def _draw(self, index: int, num_frames: int) -> tuple[Scene, Play, list[Layers]]:
        """The first good scene of a fixed sequence of attempts, laid out frame by frame."""
        wants_event = num_frames >= EVENT_FRAMES and self._rng(index, 0, 0).random() < EVENT_SHARE
        for attempt in range(MAX_ATTEMPTS):
            drawn = draw_scene(self._rng(index, 1, attempt), self.size)
            if drawn is None:
                continue
            scene, still = drawn
            if num_frames == 1:
                return scene, Play(scene.things, [], None, False), [still]
            wanted = wants_event and attempt < MAX_EVENT_ATTEMPTS
            play = draw_play(self._rng(index, 2, attempt), scene, num_frames, wanted)
            if wanted and not play.has_event:
                continue
            layers = [lay_out(scene, play, t) for t in range(num_frames)]
            visible = count_pixels(
                np.stack([layer.owner for layer in layers]) + 1,
                len(play.things) + len(scene.stuff),
            )
            shown = visible.max(axis=1) >= MIN_VISIBLE
            things = shown[: len(play.things)]
            if things.sum() < NUM_THINGS[0] or not shown[len(play.things) :].all():
                continue
            if wanted and not find_occlusions(visible, _inside_areas(layers)).any():
                continue
            if not things.all():
                play = play.keep(things)
                layers = [lay_out(scene, play, t) for t in range(num_frames)]
            return scene, play, layers
        raise RuntimeError(
            f'no scene found for sample {index} of seed {self.seed} at size {self.size} '
            f'in {MAX_ATTEMPTS} attempts; this is a defect of Shapes, please report it'
        )

    def _rng(self, index: int, stream: int, attempt: int) -> np.random.Generator:
        version = SHAPES_VERSIONS.index(self.version) + 1
        entropy = [version, self.seed, index, stream, attempt]
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence(entropy)))


def find_occlusions(visible: np.ndarray, inside: np.ndarray) -> np.ndarray:
    """Which things vanish behind others for 5 to 15 frames and are seen before and after.

    Args:
        visible: Visible pixels of each thing in each frame, (N, T); more rows are ignored.
        inside: Pixels of each thing inside the frame, hidden or not, (N, T).

    Returns:
        One flag per thing, (N,), bool.
    """
    flags = np.zeros(len(inside), bool)
    for index, area in enumerate(inside):
        hidden = (area >= MIN_VISIBLE) & (visible[index] == 0)
        edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(np.int8), [0]])))
        for start, stop in edges.reshape(-1, 2).tolist():
            before, after = visible[index, :start], visible[index, stop:]
            seen = min(before.max(initial=0), after.max(initial=0)) >= MIN_VISIBLE
            flags[index] |= seen and 5 <= stop - start <= 15
    return flags


def _inside_areas(layers: list[Layers]) -> np.ndarray:
    """Pixels of each thing in the frame, hidden or not, (N, T), int64."""
    return np.array(
        [[0 if c is None else np.count_nonzero(c.mask) for c in frame.things] for frame in layers],
        np.int64,
    ).T


def _render(scene: Scene, play: Play, layers: list[Layers]) -> ShapesSample:
    frames = [paint_frame(scene, play, layer, t) for t, layer in enumerate(layers)]
    num_things, num_stuff = len(play.things), len(scene.stuff)
    fills = [thing.fill for thing in play.things] + [region.fill for region in scene.stuff]
    thing_labels = [thing.form.label for thing in play.things]
    stuff_labels = [len(SHAPES_THINGS) + region.label for region in scene.stuff]
    areas = [[0 if c is None else c.full_area for c in layer.things] for layer in layers]
    nothing = np.zeros((num_stuff, len(layers)), np.int64)
    return ShapesSample(
        clip=np.stack(frames),
        segment_map=np.stack([layer.owner for layer in layers]) + 1,
        labels=np.array(thing_labels + stuff_labels, np.int64),
        object_ids=np.arange(1, num_things + num_stuff + 1),
        is_thing=np.arange(num_things + num_stuff) < num_things,
        colors=tuple(COLOR_NAMES[fill.color] for fill in fills),
        textures=tuple(TEXTURES[fill.texture] for fill in fills),
        radii=np.array([thing.form.radius for thing in play.things] + [0.0] * num_stuff),
        full_areas=np.concatenate([np.array(areas, np.int64).T, nothing]),
        inside_areas=np.concatenate([_inside_areas(layers), nothing]),
        camera_moves=play.camera is not None,
        expressions=[None] * (num_things + num_stuff),
    )
