"""Held-out clips of Shapes, packed as a model's config says, for the report card."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from mmcv.transforms import BaseTransform
from mmengine.config import Config
from mmengine.dataset import Compose

from seg.apis.test_pipeline import build_test_transforms
from seg.datasets.shapes import SHAPES_THINGS
from seg.datasets.shapes_dataset import ShapesDataset
from seg.datasets.shapes_events import ShapesEventsDataset
from seg.datasets.transforms import AppearingMaskPrompts, AppearingPrompts
from seg.structures import ClipSample, Task

MIN_AREA = 40
"""Pixels that an object shows in the frame that it is prompted on."""


class PackedClip(NamedTuple):
    """One clip before the network.

    Attributes:
        frames: At original size, (T, H, W, 3), uint8, RGB.
        inputs: What the network reads, (T, 3, h, w), uint8.
        asked: Kind of prompts -> ground truth at original size with such prompts; of clips
            without prompts the kind is ``'none'``. The first is the one that counts.
    """

    frames: np.ndarray
    inputs: Any
    asked: dict[str, ClipSample]

    @property
    def image(self) -> np.ndarray:
        """The first frame, (H, W, 3), uint8, RGB."""
        return self.frames[0]

    @property
    def sample(self) -> ClipSample:
        """The first sample."""
        return next(iter(self.asked.values()))


class ShapesClips:
    """Clips of the validation split, which no training has seen, whatever the seed.

    Every thing is prompted in the frame that first shows 40 pixels of it, by each kind in turn.

    Args:
        task: What the clips ask of the model.
        cfg: The model's config; its test pipeline is used.
        num_clips: How many.
        num_frames: Frames of each.
        seed: Which validation world.
        kinds: Of prompts, ``'mask'``, ``'click'`` or ``'text'``; none for panoptic.
        with_events: Whether each clip has a crossing or a full occlusion.

    Raises:
        UserError: If the config has no test data, or clips with events are too short.
    """

    def __init__(
        self,
        task: Task,
        cfg: Config,
        num_clips: int,
        num_frames: int,
        seed: int,
        *,
        kinds: Sequence[str] = (),
        with_events: bool = False,
    ) -> None:
        settings: dict[str, Any] = dict(
            split='val', num_samples=num_clips, num_frames=num_frames, seed=seed
        )
        self.dataset = (ShapesEventsDataset if with_events else ShapesDataset)(task, **settings)
        self.metainfo = self.dataset.metainfo
        steps = build_test_transforms(cfg)
        self.pipelines = {
            kind: Compose([*_prompting(kind), *steps]) for kind in (kinds or ('none',))
        }

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> PackedClip:
        """One clip; an ``IndexError`` ends a loop over all of them."""
        results = self.dataset[index]
        frames = results['clip'].permute(0, 2, 3, 1).numpy().copy()
        asked = {}
        for kind, pipeline in self.pipelines.items():
            packed = pipeline(dict(results))
            assert packed is not None, 'test pipelines do not drop samples'
            asked[kind] = packed['data_samples']
        return PackedClip(frames, packed['inputs'], asked)

    def __iter__(self) -> Iterator[PackedClip]:
        """All clips in order."""
        return (self[index] for index in range(len(self)))


def _prompting(kind: str) -> list[BaseTransform]:
    settings: dict[str, Any] = dict(min_area=MIN_AREA, num_things=len(SHAPES_THINGS))
    if kind == 'none':
        return []
    if kind == 'mask':
        return [AppearingMaskPrompts(**settings)]
    return [AppearingPrompts(kind, **settings)]
