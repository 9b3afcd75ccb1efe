"""Random crops."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from seg.datasets.transforms.results import (
    Results,
    clip_prompts,
    keep_prompts,
    keep_segments,
    largest_areas,
    move_prompts,
    prompt_row_is_used,
    require_in_step,
    rng_of,
)
from seg.registry import TRANSFORMS
from seg.structures import Prompts

Size = tuple[int, int]


def check_crop_size(name: str, crop_size: Size) -> Size:
    """The (H, W) of a setting ``crop_size``, as integers.

    Raises:
        ValueError: If it is no size.
    """
    if len(crop_size) != 2 or min(crop_size) < 1:
        raise ValueError(f'{name}.crop_size: expected (H, W) in pixels, got {crop_size}')
    return int(crop_size[0]), int(crop_size[1])


def window_in(canvas: Size, crop_size: Size) -> tuple[Size, Size]:
    """Size of a window on a canvas, no larger than it, and how many places it has, both (H, W)."""
    size = (min(canvas[0], crop_size[0]), min(canvas[1], crop_size[1]))
    return size, (canvas[0] - size[0] + 1, canvas[1] - size[1] + 1)


def large_enough(results: Results, min_area: int) -> Tensor:
    """Which segments cover ``min_area`` pixels in some frame (crowds: any pixel), (N,), bool."""
    area = largest_areas(results['masks'])
    keep = area >= max(min_area, 1)
    if 'is_crowd' in results:
        keep |= results['is_crowd'] & (area > 0)
    return keep


def crop_frames(frames: Tensor, corners: Tensor, size: Size) -> Tensor:
    """Cut a window of one size out of each frame.

    Args:
        frames: (..., T, H, W).
        corners: Top and left of each frame's window, (T, 2).
        size: (H, W) of the windows.
    """
    windows = [
        frames[..., t, top : top + size[0], left : left + size[1]]
        for t, (top, left) in enumerate(corners.tolist())
    ]
    return torch.stack(windows, dim=-3)


def crop_prompts(prompts: Prompts, corners: Tensor, size: Size) -> Prompts:
    """Prompts moved into their frame's window; what falls outside is dropped from its row."""
    rows = [
        move_prompts(prompts, scale=(1.0, 1.0), shift=(-float(left), -float(top)))
        for top, left in corners.tolist()
    ]
    frame = prompts.frame_index
    every = torch.arange(len(prompts))
    moved = replace(
        prompts,
        point_coords=torch.stack([row.point_coords for row in rows])[frame, every],
        boxes=torch.stack([row.boxes for row in rows])[frame, every],
    )
    if prompts.masks is not None:
        tops, lefts = corners[frame].T.tolist()
        masks = [
            mask[top : top + size[0], left : left + size[1]]
            for mask, top, left in zip(prompts.masks, tops, lefts, strict=True)
        ]
        cut = torch.stack(masks) if masks else prompts.masks.new_zeros(0, *size)
        moved = replace(moved, masks=cut, has_mask=moved.has_mask & cut.flatten(1).any(dim=1))
    return clip_prompts(moved, size)


def crop_clip(results: Results, corners: Tensor, size: Size) -> None:
    """Cut windows out of the clip and its prompts, in place, and note ``img_shape``.

    Args:
        results: The sample; its masks are left alone.
        corners: Top and left of each frame's window, (T, 2).
        size: (H, W) of the windows.
    """
    results['clip'] = crop_frames(results['clip'].transpose(0, 1), corners, size).transpose(0, 1)
    results['img_shape'] = size
    if 'prompts' in results:
        results['prompts'] = crop_prompts(results['prompts'], corners, size)
        keep_prompts(results, prompt_row_is_used(results['prompts']))


@TRANSFORMS.register_module()
class ClipRandomCrop(BaseTransform):
    """Cut the same random window out of every frame.

    Clips smaller than the window are left as large as they are; the preprocessor pads. Segments
    that became too small are dropped with their prompts; crowds stay while a pixel is visible.

    Args:
        crop_size: (H, W) of the window.
        min_area: Smallest area that a segment must cover in some frame to stay, pixels.
    """

    def __init__(self, crop_size: Size, min_area: int = 1) -> None:
        self.crop_size = check_crop_size(type(self).__name__, crop_size)
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Crop one sample."""
        require_in_step(results, type(self).__name__)
        clip = results['clip']
        size, room = window_in(tuple(clip.shape[-2:]), self.crop_size)
        corners = torch.from_numpy(self._corners(rng_of(results), len(clip), room))
        crop_clip(results, corners, size)
        if 'masks' in results:
            results['masks'] = crop_frames(results['masks'], corners, size)
            keep_segments(results, large_enough(results, self.min_area))
        return results

    def _corners(self, rng: np.random.Generator, num_frames: int, room: Size) -> np.ndarray:
        """Top and left of each frame's window, (T, 2), int64."""
        return np.repeat(rng.integers(0, room, size=(1, 2)), num_frames, axis=0)


@TRANSFORMS.register_module()
class FrameRandomCrop(ClipRandomCrop):
    """Cut another random window, of the same size, out of each frame.

    After :class:`PseudoClip` it makes two views of one image differ as frames of a video do. A
    segment may then be visible in some frames only.
    """

    def _corners(self, rng: np.random.Generator, num_frames: int, room: Size) -> np.ndarray:
        return rng.integers(0, room, size=(num_frames, 2))


@TRANSFORMS.register_module()
class DropSmallSegments(BaseTransform):
    """Drop segments that are small in every frame, with their prompts.

    Args:
        min_area: Smallest area that stays, pixels of the clip; crowds stay while visible.
    """

    def __init__(self, min_area: int = 32) -> None:
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Filter one sample."""
        keep_segments(results, large_enough(results, self.min_area))
        return results
