"""Large-scale jitter: a random size and a random window of it, drawn in one step.

The samples are those of a random resize followed by a random crop. But the masks are only drawn
inside the window, which makes it several times as fast for large factors.
"""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from seg.datasets.transforms.crop import check_crop_size, crop_clip, window_in
from seg.datasets.transforms.pseudo_clip import repeat_frame
from seg.datasets.transforms.resize import (
    Size,
    check_ratio_range,
    check_scale,
    fit_size,
    nearest_source,
    random_scale,
    resize_clip,
)
from seg.datasets.transforms.results import (
    Results,
    keep_segments,
    require_in_step,
    rng_of,
)
from seg.registry import TRANSFORMS


def resized_windows(
    masks: np.ndarray, canvas: Size, corners: np.ndarray, size: Size, min_areas: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Windows of resized masks, without those that are too small to see.

    Args:
        masks: (N, T, H, W), bool.
        canvas: (H, W) that the masks are resized to.
        corners: Top and left of each frame's window on the canvas, (T, 2).
        size: (H, W) of the windows.
        min_areas: Smallest area in the best frame with which a segment stays, pixels, (N,).

    Returns:
        Windows of the segments that stay, (n, T, *size), bool, and which those are, (N,), bool.
    """
    sources = []
    for top, left in corners.tolist():
        rows = nearest_source(masks.shape[-2], canvas[0])[top : top + size[0]]
        columns = nearest_source(masks.shape[-1], canvas[1])[left : left + size[1]]
        first, last = int(rows[0]), int(rows[-1]) + 1
        sources.append((slice(first, last), rows - first, columns))
    # Pages of memory that are never written to cost nothing.
    windows = np.empty((len(masks), len(corners), *size), dtype=bool)
    keep = np.zeros(len(masks), dtype=bool)
    num = 0
    for row, mask in enumerate(masks):
        area = 0
        for frame, (band, rows, columns) in enumerate(sources):
            narrow = mask[frame, band][:, columns]  # twice as fast as take
            window = narrow.take(rows, axis=0, out=windows[num, frame], mode='clip')
            area = max(area, int(np.count_nonzero(window)))
        keep[row] = area >= min_areas[row]
        num += int(keep[row])
    return windows[:num], keep


@TRANSFORMS.register_module()
class LargeScaleJitter(BaseTransform):
    """Resize by a random factor and cut a random window, the same for all frames.

    Gives exactly what ``ClipRandomResize`` followed by ``ClipRandomCrop`` gives. Clips smaller
    than the window stay as large as they are; the preprocessor pads. Segments that became too
    small are dropped with their prompts; crowds stay while a pixel is visible.

    Args:
        scale: (H, W) that a factor of 1 fits into, see ``fit_size``.
        ratio_range: Smallest and largest factor, drawn uniformly.
        crop_size: (H, W) of the window; ``scale`` by default.
        min_area: Smallest area that a segment must cover in some frame to stay, pixels.
    """

    def __init__(
        self,
        scale: Size,
        ratio_range: tuple[float, float] = (0.1, 2.0),
        crop_size: Size | None = None,
        min_area: int = 1,
    ) -> None:
        name = type(self).__name__
        self.scale = check_scale(name, scale)
        self.ratio_range = check_ratio_range(name, ratio_range)
        self.crop_size = check_crop_size(name, scale if crop_size is None else crop_size)
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Resize and crop one sample."""
        require_in_step(results, type(self).__name__)
        rng = rng_of(results)
        scale = random_scale(self.scale, self.ratio_range, rng)
        canvas = fit_size(tuple(results['clip'].shape[-2:]), scale, keep_ratio=True)
        resize_clip(results, canvas)
        masks = self._frames(results)
        size, room = window_in(canvas, self.crop_size)
        corners = self._corners(rng, len(results['clip']), room)
        crop_clip(results, torch.from_numpy(corners), size)
        if masks is not None:
            least = np.full(len(masks), max(self.min_area, 1))
            if 'is_crowd' in results:
                least[results['is_crowd'].numpy()] = 1
            windows, keep = resized_windows(masks.numpy(), canvas, corners, size, least)
            keep_segments(results, torch.from_numpy(keep))
            results['masks'] = torch.from_numpy(windows)
        return results

    def _frames(self, results: Results) -> Tensor | None:
        """Take the masks out of the sample, (N, T, H, W), with the frames of the clip."""
        return results.pop('masks', None)

    def _corners(self, rng: np.random.Generator, num_frames: int, room: Size) -> np.ndarray:
        """Top and left of each frame's window, (T, 2), int64."""
        return np.repeat(rng.integers(0, room, size=(1, 2)), num_frames, axis=0)


@TRANSFORMS.register_module()
class PseudoClipJitter(LargeScaleJitter):
    """Make a clip of an image: one random size, and another random window of it per frame.

    Gives exactly what ``ClipRandomResize``, ``PseudoClip`` and ``FrameRandomCrop`` give. Segments
    keep their identity, and may be visible in some frames only.

    Args:
        num_frames: Number of frames T.
        scale: See :class:`LargeScaleJitter`, as are the others.
        ratio_range: Smallest and largest factor.
        crop_size: (H, W) of the windows; ``scale`` by default.
        min_area: Smallest area in the best frame.
    """

    def __init__(
        self,
        num_frames: int,
        scale: Size,
        ratio_range: tuple[float, float] = (0.1, 2.0),
        crop_size: Size | None = None,
        min_area: int = 1,
    ) -> None:
        if num_frames < 1:
            raise ValueError(f'PseudoClipJitter.num_frames: expected at least 1, got {num_frames}')
        super().__init__(scale, ratio_range, crop_size, min_area)
        self.num_frames = num_frames

    def _frames(self, results: Results) -> Tensor | None:
        repeat_frame(results, self.num_frames, 'PseudoClipJitter')
        return results.pop('masks', None)

    def _corners(self, rng: np.random.Generator, num_frames: int, room: Size) -> np.ndarray:
        return rng.integers(0, room, size=(num_frames, 2))
