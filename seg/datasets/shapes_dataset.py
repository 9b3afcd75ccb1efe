"""The Shapes world as a data set."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.shapes import (
    SHAPES_CLASSES,
    SHAPES_COLORS,
    SHAPES_PALETTE,
    SHAPES_THINGS,
    ShapesSample,
    ShapesWorld,
)
from seg.datasets.shapes.frame_choice import FEWEST_FRAMES, FrameChoice
from seg.datasets.shapes.motion import EVENT_FRAMES, EVENT_SHARE
from seg.datasets.shapes.palette import COLOR_VALUES
from seg.registry import DATASETS
from seg.structures import Task
from seg.utils.checks import unknown_name_message

SPLITS = ('train', 'val')

Drawn = tuple[np.ndarray, np.ndarray, dict[str, Any]]


@DATASETS.register_module()
class ShapesDataset(ClipDataset):
    """Images or clips of Shapes, drawn when they are asked for.

    The splits never share a world: split number k of seed s is the world of seed 2 s + k.

    With ``cache`` every sample is kept after it was first drawn, at 4 bytes per pixel of every
    frame: 82 kB for an image of 128 x 160, 0.8 GB for 10,000 of them, in each loader process.

    Args:
        task: What the samples ask of the model.
        split: ``'train'`` or ``'val'``.
        num_samples: Length of the data set.
        num_frames: Frames of each sample; 1 for images.
        seed: Which worlds; >= 0.
        size: Height and width of the frames.
        pipeline: Transforms or their configs, applied in order.
        cache: Whether to keep drawn samples in memory.
        version: Definition of the world.
        frame_gaps: Smallest and largest step between the frames of a sample, each drawn anew, out
            of a clip that is long enough for the largest steps; the first frame is always the
            clip's. All frames of the clip when left out.
        occlusion_prob: With ``frame_gaps``: how often a sample shows a thing of the first frame
            hidden and again after that, which steps drawn at random seldom do. Above 0.4 more
            clips plan it than in other samples.

    Raises:
        ValueError: If the task, split or version is unknown, or a number is out of range.
    """

    classes: tuple[str, ...] = SHAPES_CLASSES
    num_things: int = len(SHAPES_THINGS)
    palette: Sequence[tuple[int, ...]] = SHAPES_PALETTE

    def __init__(
        self,
        task: str | Task,
        split: str = 'train',
        num_samples: int = 1000,
        num_frames: int = 1,
        seed: int = 0,
        size: tuple[int, int] = (128, 160),
        pipeline: Pipeline = (),
        cache: bool = False,
        version: str = 'v1',
        frame_gaps: tuple[int, int] | None = None,
        occlusion_prob: float = 0.0,
    ) -> None:
        if frame_gaps is not None and (cache or not 1 <= frame_gaps[0] <= frame_gaps[1]):
            raise ValueError(
                'frame_gaps: expected a smallest and a largest step, 1 <= smallest <= largest, and '
                f'cache=False, got {tuple(frame_gaps)} and cache={cache}'
            )
        if not 0 <= occlusion_prob <= 1 or (occlusion_prob and frame_gaps is None):
            raise ValueError(
                'occlusion_prob: expected a number in [0, 1], and frame_gaps with it, got '
                f'{occlusion_prob} and frame_gaps={frame_gaps}'
            )
        if occlusion_prob and frame_gaps is not None:
            length = 1 + frame_gaps[1] * (num_frames - 1)
            if num_frames < FEWEST_FRAMES or length < EVENT_FRAMES:
                raise ValueError(
                    f'occlusion_prob: expected samples of {FEWEST_FRAMES} frames or more out of '
                    f'clips of {EVENT_FRAMES} or more, got {num_frames} out of {length}; use more '
                    'frames or larger frame_gaps'
                )
        if split not in SPLITS:
            raise ValueError(unknown_name_message('split of Shapes', split, SPLITS))
        for name, value, least in (
            ('num_samples', num_samples, 1),
            ('num_frames', num_frames, 1),
            ('seed', seed, 0),
        ):
            if value < least:
                raise ValueError(f'{name}: expected an integer >= {least}, got {value}')
        self._name = f'shapes-{version}'
        metainfo = {
            'classes': self.classes,
            'num_things': self.num_things,
            'palette': list(self.palette),
            'dataset_name': self._name,
        }
        super().__init__(task, pipeline, metainfo, seed)
        self.num_samples = num_samples
        self.num_frames = num_frames
        self.frame_gaps = frame_gaps
        share = max(EVENT_SHARE, occlusion_prob)
        self._choice_prob = occlusion_prob / share
        self.world = ShapesWorld(version, 2 * seed + SPLITS.index(split), size, share)
        self._prefix = f'{self._name}-{split}-{seed}'
        self._kept: dict[int, Drawn] | None = {} if cache else None

    def full_init(self) -> None:
        """Nothing is left to load; the Runner asks for it."""

    def __len__(self) -> int:
        """Number of samples."""
        return self.num_samples

    def load(self, index: int) -> dict[str, Any]:
        """Draw one sample, fresh tensors every time."""
        drawn = self._kept.get(index) if self._kept is not None else None
        if drawn is None:
            drawn = self._draw(index, self.num_frames)
            if self._kept is not None:
                self._kept[index] = drawn
        return self._as_results(index, drawn)

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Draw one sample, and with ``frame_gaps`` which frames it has."""
        if self.frame_gaps is None:
            return self.load(index)
        length = 1 + self.frame_gaps[1] * (self.num_frames - 1)
        shown = FrameChoice(rng, self.num_frames, self.frame_gaps, self._choice_prob)
        return self._as_results(index, self._draw(index, length, shown))

    def labels_of(self, sample: ShapesSample) -> list[int]:
        """The class of each segment."""
        return sample.labels.tolist()

    def _as_results(self, index: int, drawn: Drawn) -> dict[str, Any]:
        """A sample as the transforms expect it."""
        frames, segments, rows = drawn
        height, width = frames.shape[-2:]
        ids = torch.arange(1, len(rows['labels']) + 1, dtype=torch.uint8)
        return {
            'clip': torch.from_numpy(frames.copy()),
            'masks': torch.from_numpy(segments)[None] == ids[:, None, None, None],
            'labels': torch.tensor(rows['labels'], dtype=torch.int64),
            'object_ids': torch.tensor(rows['object_ids'], dtype=torch.int64),
            'is_crowd': torch.zeros(len(ids), dtype=torch.bool),
            'expressions': list(rows['expressions']),
            'img_id': index,
            'img_path': f'{self._prefix}/{index:06d}',
            'ori_shape': (height, width),
            'img_shape': (height, width),
            'scale_factor': (1.0, 1.0),
            'dataset_name': self._name,
        }

    def _draw(self, index: int, num_frames: int, shown: FrameChoice | None = None) -> Drawn:
        """Frames (T, 3, H, W) and segment map (T, H, W), both uint8, and the rows of segments."""
        sample = self.world.clip(index, num_frames, shown)
        rows = {
            'labels': self.labels_of(sample),
            'object_ids': sample.object_ids.tolist(),
            'expressions': sample.expressions,
        }
        frames = np.ascontiguousarray(sample.clip.transpose(0, 3, 1, 2))
        return frames, sample.segment_map.astype(np.uint8), rows


@DATASETS.register_module()
class ShapesColorsDataset(ShapesDataset):
    """The same images, whose classes are the colours that objects and background share.

    What has a colour is told by the colour of its pixels, so models learn it sooner than outlines.
    """

    classes = SHAPES_COLORS
    num_things = len(SHAPES_COLORS)
    palette = tuple(tuple(color) for color in COLOR_VALUES.astype(int).tolist())

    def labels_of(self, sample: ShapesSample) -> list[int]:
        """The colour of each segment."""
        return [SHAPES_COLORS.index(name) for name in sample.colors]
