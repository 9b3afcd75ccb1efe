"""What the video data sets share: short random clips for training, whole videos for evaluation."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.clip_dataset import ClipDataset, Pipeline
from seg.datasets.imaging import read_image
from seg.datasets.index import Index
from seg.structures import Task
from seg.utils.checks import UserError


def choose_frames(
    total: int, num_frames: int, frame_interval: tuple[int, int], rng: np.random.Generator
) -> np.ndarray:
    """Draw frames of a clip with equal steps between them.

    Args:
        total: How many frames there are to choose from.
        num_frames: Frames of the clip T, at most ``total``.
        frame_interval: Smallest and largest step; smaller ones are taken where a video is too
            short.
        rng: Where the choice comes from.

    Returns:
        Places in ``range(total)``, increasing, (T,), int64.
    """
    longest = (total - 1) // max(num_frames - 1, 1)
    low, high = (max(min(step, longest), 1) for step in frame_interval)
    step = int(rng.integers(low, high + 1))
    first = int(rng.integers(total - step * (num_frames - 1)))
    return first + step * np.arange(num_frames)


def read_frames(paths: Sequence[Path]) -> list[np.ndarray]:
    """Read frames of one video, each (H, W, 3), uint8, RGB.

    Raises:
        FileNotFoundError: If one is missing.
        UserError: If one is broken, or they differ in size.
    """
    frames = [read_image(path) for path in paths]
    for path, frame in zip(paths, frames, strict=True):
        if frame.shape != frames[0].shape:
            raise UserError(
                f'{path}: expected all frames of a video at one size, height x width '
                f'{frames[0].shape[0]} x {frames[0].shape[1]} as in {paths[0].name}, got '
                f'{frame.shape[0]} x {frame.shape[1]}; extract the frames again'
            )
    return frames


class VideoDataset(ClipDataset):
    """Videos. A training sample is a random clip of one, an evaluation sample is all of one.

    Only the frames of a sample are read, and the masks of the objects in them. Subclasses
    implement :meth:`load_frames`. Videos with fewer usable frames than a training clip has are
    left out of the training.

    Args:
        task: What the samples ask of the model.
        pipeline: Transforms or their configs.
        metainfo: See :class:`ClipDataset`.
        index: Video ``i`` has the frames ``offsets[i]:offsets[i + 1]``; ``usable`` says which
            frames training clips can be made of, bool.
        source: File or folder of the data set, for messages.
        keep: Videos to keep, bool; all by default.
        num_frames: Frames of a training clip.
        frame_interval: Smallest and largest step between them, drawn for each clip.
        test_mode: Whether samples are whole videos.
        seed: See :class:`ClipDataset`.
        max_bad_samples: See :class:`ClipDataset`.

    Raises:
        UserError: If a number makes no sense, or no video is left.
    """

    def __init__(
        self,
        task: Task | str,
        pipeline: Pipeline,
        metainfo: Mapping[str, Any],
        index: Index,
        source: Path,
        *,
        keep: np.ndarray | None = None,
        num_frames: int = 2,
        frame_interval: tuple[int, int] = (2, 2),
        test_mode: bool = False,
        seed: int = 0,
        max_bad_samples: int = 0,
    ) -> None:
        super().__init__(
            task, pipeline, metainfo, seed, test_mode=test_mode, max_bad_samples=max_bad_samples
        )
        if num_frames < 1:
            raise UserError(f'num_frames: expected 1 or more, got {num_frames}')
        low, high = frame_interval
        if not 1 <= low <= high:
            raise UserError(
                'frame_interval: expected a smallest and a largest step, 1 <= smallest <= '
                f'largest, got {tuple(frame_interval)}'
            )
        self.num_frames = num_frames
        self.frame_interval = (low, high)
        self.index = index
        usable = np.diff(np.concatenate([[0], np.cumsum(index['usable'])])[index['offsets']])
        chosen = usable >= (0 if test_mode else num_frames)
        self.rows = np.flatnonzero(chosen if keep is None else chosen & keep)
        if not len(self.rows):
            raise UserError(
                f'{source}: expected videos with at least {num_frames} frames and their '
                f'annotations, got none among {len(usable)}; lower num_frames or check the files'
            )

    @abstractmethod
    def load_frames(self, index: int, frames: Sequence[int]) -> dict[str, Any]:
        """Read some frames of a video, in the order given, with the objects seen in them.

        Args:
            index: The sample.
            frames: Numbers of frames, from 0 on.

        Raises:
            FileNotFoundError: If a file is missing.
            UserError: If a file is broken, or an annotation does not fit.
        """

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.rows)

    def frame_rows(self, index: int) -> range:
        """Rows of a video's frames in the index."""
        return range(*self.index['offsets'][self.rows[index] :][:2].tolist())

    def load(self, index: int) -> dict[str, Any]:
        """Read all frames of a video; see :meth:`load_frames`."""
        return self.load_frames(index, range(len(self.frame_rows(index))))

    def draw(self, index: int, rng: np.random.Generator) -> dict[str, Any]:
        """Read a random clip of a video, or all of it in test mode."""
        if self.test_mode:
            return self.load(index)
        rows = self.frame_rows(index)
        usable = np.flatnonzero(self.index['usable'][rows.start : rows.stop])
        chosen = choose_frames(len(usable), self.num_frames, self.frame_interval, rng)
        return self.load_frames(index, usable[chosen].tolist())
