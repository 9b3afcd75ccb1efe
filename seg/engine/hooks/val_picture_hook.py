"""Pictures of what the model makes of validation samples, beside their ground truth."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from mmengine.dist import get_rank
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmengine.visualization import TensorboardVisBackend
from torch import Tensor
from torch.nn import functional as F

from seg.registry import HOOKS
from seg.structures import ClipSample

if TYPE_CHECKING:
    from seg.visualization import SegmentVisualizer


@HOOKS.register_module()
class ValPictureHook(Hook):
    """Writes ground truth and prediction side by side for some samples of each task.

    A clip becomes a strip of frames, :func:`~seg.visualization.clip_strip.clip_strip`.

    In validation the pictures go to ``val_pictures/iter_N`` in the work folder, and to TensorBoard
    when that is on; in testing to ``out_dir``.

    Args:
        max_samples: How many samples of each task, from the first one on; ``None`` for all.
        out_dir: Where pictures of a test go; ``None`` writes none in tests.
    """

    priority = 'NORMAL'

    def __init__(
        self, max_samples: int | None = 4, out_dir: str | os.PathLike[str] | None = None
    ) -> None:
        self.max_samples = max_samples
        self.out_dir = None if out_dir is None else Path(out_dir)
        self._written: Counter[str] = Counter()

    def before_val_epoch(self, runner: Runner) -> None:
        """Begin with the first samples again."""
        self._written.clear()

    def before_test_epoch(self, runner: Runner) -> None:
        """Begin with the first samples again."""
        self._written.clear()

    def after_val_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[ClipSample] | None = None,
    ) -> None:
        """Draw the samples of a validation batch."""
        if get_rank() == 0:
            in_training = not isinstance(runner._train_loop, dict | None)
            iteration = runner.iter if in_training else 0
            folder = Path(runner.work_dir) / 'val_pictures' / f'iter_{iteration}'
            classes = runner.val_dataloader.dataset.metainfo
            for name, picture in self._draw(data_batch, outputs or (), classes):
                _write(folder, name, picture)
                _show_on_tensorboard(runner, f'val/{name}', picture, iteration)

    def after_test_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Sequence[ClipSample] | None = None,
    ) -> None:
        """Draw the samples of a test batch; every process draws its own."""
        if self.out_dir is not None:
            classes = runner.test_dataloader.dataset.metainfo
            for name, picture in self._draw(data_batch, outputs or (), classes):
                _write(self.out_dir, name, picture)

    def _draw(
        self, data_batch: Any, outputs: Sequence[ClipSample], metainfo: dict[str, Any]
    ) -> list[tuple[str, np.ndarray]]:
        from seg.visualization import SegmentVisualizer

        visualizer = SegmentVisualizer()
        pictures = []
        for clip, sample in zip(data_batch['inputs'], outputs, strict=True):
            task = sample.declared_task.value
            if self.max_samples is not None and self._written[task] >= self.max_samples:
                continue
            name = f'{task}_{_sample_name(sample, self._written[task])}'
            self._written[task] += 1
            pictures.append((name, _compare(visualizer, clip, sample, metainfo)))
        return pictures


def _compare(
    visualizer: SegmentVisualizer, clip: Tensor, sample: ClipSample, metainfo: dict[str, Any]
) -> np.ndarray:
    from seg.visualization.clip_strip import clip_strip, strip_frames

    size, known = sample.metainfo['ori_shape'], (metainfo['classes'], metainfo.get('num_things'))
    if len(clip) == 1:
        return visualizer.draw_comparison(first_frame(clip, size), sample, *known)
    images = {t: first_frame(clip[t : t + 1], size) for t in strip_frames(len(clip))}
    return clip_strip(images, sample, *known, visualizer)


def first_frame(clip: Tensor, size: tuple[int, int]) -> np.ndarray:
    """The first frame of a clip as the network got it, brought to a size.

    Args:
        clip: (T, 3, H, W), uint8, RGB.
        size: (H, W) to resize to.

    Returns:
        (H, W, 3), uint8, RGB.
    """
    frame = clip[:1].float()
    if tuple(frame.shape[-2:]) != tuple(size):
        frame = F.interpolate(frame, size=tuple(size), mode='bilinear', align_corners=False)
    return frame[0].round().clamp(0, 255).to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _sample_name(sample: ClipSample, count: int) -> str:
    identity = sample.get('img_id', None)
    text = f'{count:04d}' if identity is None else str(identity)
    return ''.join(c if c.isalnum() or c in '-_' else '_' for c in text)


def _write(folder: Path, name: str, picture: np.ndarray) -> None:
    from seg.visualization import write_picture

    write_picture(folder / f'{name}.png', picture)


def _show_on_tensorboard(runner: Runner, name: str, picture: np.ndarray, step: int) -> None:
    for backend in runner.visualizer._vis_backends.values():
        if isinstance(backend, TensorboardVisBackend):
            backend.add_image(name, picture, step)
