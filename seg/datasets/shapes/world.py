"""The Shapes world: images and clips as a pure function of version, seed, index and size."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from seg.datasets.shapes.motion import EVENT_FRAMES, EVENT_SHARE, Play, draw_play
from seg.datasets.shapes.palette import COLOR_NAMES, SHAPES_THINGS
from seg.datasets.shapes.renderer import lay_out, paint_frame
from seg.datasets.shapes.sample import (
    ShapesAnnotations,
    ShapesSample,
    count_pixels,
    find_occlusions,
)
from seg.datasets.shapes.scene import MIN_VISIBLE, NUM_THINGS, Layers, Scene, draw_scene
from seg.datasets.shapes.textures import TEXTURES
from seg.utils.checks import unknown_name_message

SHAPES_VERSIONS = ('v1',)
MIN_SIZE = 48
MAX_ATTEMPTS = 200
MAX_EVENT_ATTEMPTS = 12
_EVENTS, _SCENES, _MOTIONS, _EXPRESSIONS = range(4)  # independent streams of randomness


class ShapesWorld:
    """An endless, reproducible world of images and clips.

    A sample depends on these arguments, its index and the number of frames alone: not on what was
    generated before, on the process or on global random state. The pixels are reproducible for one
    version of NumPy and OpenCV.

    OpenCV's own threads do not help on frames of this size; a process that generates many samples
    is fastest after ``cv2.setNumThreads(0)``, which is left to the caller.

    Args:
        version: Definition of the world; ``'v1'``.
        seed: Which world; >= 0.
        size: Height and width of the frames, each >= 48.
        event_share: How many of the clips with 24 frames or more hide a thing behind another for a
            while; nearly as many do.

    Raises:
        ValueError: If the version is unknown, the seed negative, the size too small or the share
            not in [0, 1].
    """

    def __init__(
        self,
        version: str = 'v1',
        seed: int = 0,
        size: tuple[int, int] = (128, 160),
        event_share: float = EVENT_SHARE,
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
        if not 0 <= event_share <= 1:
            raise ValueError(f'event_share: expected a number in [0, 1], got {event_share}')
        self.version = version
        self.seed = int(seed)
        self.size = (int(size[0]), int(size[1]))
        self.event_share = event_share

    def image(self, index: int) -> ShapesSample:
        """The image of an index: a clip of one frame.

        Raises:
            ValueError: If the index is negative.
        """
        return self.clip(index, 1)

    def clip(
        self,
        index: int,
        num_frames: int,
        shown: Callable[[ShapesAnnotations], Sequence[int]] | None = None,
    ) -> ShapesSample:
        """The clip of an index.

        Clips of different lengths have different motions.

        Args:
            index: Which sample, >= 0.
            num_frames: Frames of the clip, >= 1.
            shown: Chooses the frames to paint and return of what is known about the clip,
                increasing, 0 first; all when left out.

        Raises:
            ValueError: If the index is negative or there are no frames.
        """
        scene, play, layers = self._draw(index, num_frames)
        known = self._annotate(index, scene, play, layers)
        places: Sequence[int] = range(num_frames)
        if shown is not None:
            places = shown(known)
            layers = [layers[t] for t in places]
            known = self._annotate(index, scene, play, layers)
        frames = [paint_frame(scene, play, layers[i], t) for i, t in enumerate(places)]
        return ShapesSample(**vars(known), clip=np.stack(frames))

    def annotations(self, index: int, num_frames: int) -> ShapesAnnotations:
        """What :meth:`clip` gives but the pixels, in a fraction of the time.

        Args:
            index: Which sample, >= 0.
            num_frames: Frames of the clip, >= 1.

        Raises:
            ValueError: If the index is negative or there are no frames.
        """
        return self._annotate(index, *self._draw(index, num_frames))

    def _draw(self, index: int, num_frames: int) -> tuple[Scene, Play, list[Layers]]:
        """The first good scene of a fixed sequence of attempts, laid out frame by frame."""
        if index < 0:
            raise ValueError(f'index: expected an integer >= 0, got {index}; count from 0')
        if num_frames < 1:
            raise ValueError(
                f'num_frames: expected an integer >= 1, got {num_frames}; use 1 for an image'
            )
        wants_event = (
            num_frames >= EVENT_FRAMES and self._rng(index, _EVENTS, 0).random() < self.event_share
        )
        for attempt in range(MAX_ATTEMPTS):
            drawn = draw_scene(self._rng(index, _SCENES, attempt), self.size)
            if drawn is None:
                continue
            scene, still = drawn
            if num_frames == 1:
                return scene, Play(scene.things, [], None, False), [still]
            wanted = wants_event and attempt < MAX_EVENT_ATTEMPTS
            play = draw_play(self._rng(index, _MOTIONS, attempt), scene, num_frames, wanted)
            if wanted and not play.has_event:
                continue
            layers = [lay_out(scene, play, t) for t in range(num_frames)]
            visible = _visible_areas(scene, play, layers)
            shown = visible.max(axis=1) >= MIN_VISIBLE
            things = shown[: len(play.things)]
            if things.sum() < NUM_THINGS[0] or not shown[len(things) :].all():
                continue
            if wanted and not find_occlusions(visible[: len(things)], _inside(layers)):
                continue
            if not things.all():
                play = play.keep(things)
                layers = [lay_out(scene, play, t) for t in range(num_frames)]
            return scene, play, layers
        raise RuntimeError(
            f'no scene found for sample {index} of seed {self.seed} at size {self.size} '
            f'in {MAX_ATTEMPTS} attempts; this is a defect of Shapes, please report it'
        )

    def _entropy(self, index: int, stream: int, attempt: int) -> tuple[int, ...]:
        version = SHAPES_VERSIONS.index(self.version) + 1
        return version, self.seed, index, stream, attempt

    def _rng(self, index: int, stream: int, attempt: int) -> np.random.Generator:
        sequence = np.random.SeedSequence(self._entropy(index, stream, attempt))
        return np.random.Generator(np.random.PCG64(sequence))

    def _annotate(
        self, index: int, scene: Scene, play: Play, layers: list[Layers]
    ) -> ShapesAnnotations:
        num_things, num_stuff = len(play.things), len(scene.stuff)
        fills = [thing.fill for thing in play.things] + [region.fill for region in scene.stuff]
        labels = [thing.form.label for thing in play.things]
        labels += [len(SHAPES_THINGS) + region.label for region in scene.stuff]
        full = [[0 if c is None else c.full_area for c in layer.things] for layer in layers]
        nothing = np.zeros((num_stuff, len(layers)), np.int64)
        return ShapesAnnotations(
            segment_map=np.stack([layer.owner for layer in layers]) + 1,
            labels=np.array(labels, np.int64),
            object_ids=np.arange(1, num_things + num_stuff + 1),
            is_thing=np.arange(num_things + num_stuff) < num_things,
            colors=tuple(COLOR_NAMES[fill.color] for fill in fills),
            textures=tuple(TEXTURES[fill.texture] for fill in fills),
            radii=np.array([thing.form.radius for thing in play.things] + [0.0] * num_stuff),
            full_areas=np.concatenate([np.array(full, np.int64).T, nothing]),
            inside_areas=np.concatenate([_inside(layers), nothing]),
            visible_areas=_visible_areas(scene, play, layers),
            camera_moves=play.camera is not None,
            look=scene.look,
            expression_seed=self._entropy(index, _EXPRESSIONS, 0),
        )


def _visible_areas(scene: Scene, play: Play, layers: list[Layers]) -> np.ndarray:
    """Pixels of each thing, then of each region, in each frame, (N, T), int64."""
    owners = np.stack([layer.owner for layer in layers]) + 1
    return count_pixels(owners, len(play.things) + len(scene.stuff))


def _inside(layers: list[Layers]) -> np.ndarray:
    """Pixels of each thing in the frame, hidden or not, (N, T), int64."""
    return np.array(
        [[0 if c is None else np.count_nonzero(c.mask) for c in frame.things] for frame in layers],
        np.int64,
    ).T
