"""What all transforms share: randomness, and changes that keep segments and prompts in step.

The dict that goes through a pipeline holds ``clip`` uint8 (T, 3, H, W) RGB, ``masks`` bool
(N, T, H, W), ``labels`` (N,), ``object_ids`` (N,), ``is_crowd`` (N,), optionally ``expressions``
(a list of N phrases or ``None``), ``prompts`` with ``prompt_targets`` (M,) int64 (row of ``masks``
that each prompt belongs to) and ``prompt_kinds`` (a list of M of ``PROMPT_KINDS``), and metainfo.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import compress
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg.structures import PointLabel, Prompts

Results = dict[str, Any]
SEGMENT_KEYS = ('masks', 'labels', 'object_ids', 'is_crowd')


def rng_of(results: Results) -> np.random.Generator:
    """The sample's own random generator, which every random transform draws from.

    Raises:
        ValueError: If the data set put none in.
    """
    rng = results.get('rng')
    if not isinstance(rng, np.random.Generator):
        raise ValueError(
            f"rng: expected a numpy Generator in results['rng'], got {type(rng).__name__}; derive "
            'the data set from seg.datasets.ClipDataset, which gives every sample its own'
        )
    return rng


def largest_areas(masks: Tensor) -> Tensor:
    """Area of each segment in the frame that shows most of it, (N,), int64, pixels.

    Args:
        masks: (N, T, H, W), bool, on the CPU.
    """
    # NumPy counts bools forty times faster than torch sums them.
    counts = [[np.count_nonzero(frame) for frame in segment] for segment in masks.numpy()]
    return torch.tensor(counts, dtype=torch.long).reshape(masks.shape[:2]).amax(dim=1)


def keep_segments(results: Results, keep: Tensor) -> None:
    """Drop segments, and the prompts that point at them, in place.

    Args:
        results: The sample.
        keep: Which segments stay, (N,), bool.
    """
    if bool(keep.all()):
        return
    for key in SEGMENT_KEYS:
        if key in results:
            results[key] = results[key][keep]
    if 'expressions' in results:
        pairs = zip(results['expressions'], keep.tolist(), strict=True)
        results['expressions'] = [text for text, kept in pairs if kept]
    if 'prompt_targets' in results:
        new_index = torch.cumsum(keep.long(), 0) - 1
        targets = results['prompt_targets']
        rows = keep[targets]
        results['prompt_targets'] = new_index[targets]
        keep_prompts(results, rows)


def keep_prompts(results: Results, rows: Tensor) -> None:
    """Drop prompts in place.

    Args:
        results: The sample.
        rows: Which prompts stay, (M,), bool.
    """
    index = torch.nonzero(rows).flatten()
    results['prompts'] = results['prompts'][index]
    if 'prompt_targets' in results:
        results['prompt_targets'] = results['prompt_targets'][index]
    if 'prompt_kinds' in results:
        results['prompt_kinds'] = list(compress(results['prompt_kinds'], rows.tolist()))


def move_prompts(
    prompts: Prompts, scale: tuple[float, float], shift: tuple[float, float]
) -> Prompts:
    """Prompts whose coordinates are ``scale * (x, y) + shift``; mask prompts are left alone.

    Args:
        prompts: The prompts.
        scale: Factors of x and y; negative for mirrored axes.
        shift: Offsets of x and y, pixels.
    """
    factor = prompts.point_coords.new_tensor(scale)
    offset = prompts.point_coords.new_tensor(shift)
    corners = prompts.boxes.reshape(-1, 2, 2) * factor + offset
    boxes = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=-1)  # NaN rows stay NaN
    return replace(prompts, point_coords=prompts.point_coords * factor + offset, boxes=boxes)


def clip_prompts(prompts: Prompts, size: tuple[int, int]) -> Prompts:
    """Prompts restricted to a canvas: points beyond it become padding, boxes are cut.

    Args:
        prompts: The prompts.
        size: (H, W) of the canvas.
    """
    limit = prompts.point_coords.new_tensor((size[1], size[0]))
    coords = prompts.point_coords
    outside = ((coords < 0) | (coords >= limit)).any(dim=-1)
    labels = prompts.point_labels.masked_fill(outside, int(PointLabel.PADDING))
    boxes = prompts.boxes.reshape(-1, 2, 2).clamp(min=0).minimum(limit).reshape(-1, 4)
    empty = (boxes[:, 2:] <= boxes[:, :2]).any(dim=-1)
    return replace(prompts, point_labels=labels, boxes=boxes.masked_fill(empty[:, None], torch.nan))


def prompt_row_is_used(prompts: Prompts) -> Tensor:
    """Which rows still say something about their object, (M,), bool."""
    return prompts.has_point | prompts.has_box | prompts.has_mask | prompts.has_text


def require_in_step(results: Results, transform: str) -> None:
    """Check that masks have the clip's frames and size.

    Raises:
        ValueError: If they differ.
    """
    if 'masks' not in results:
        return
    clip, masks = results['clip'], results['masks']
    if masks.shape[1] != clip.shape[0] or masks.shape[-2:] != clip.shape[-2:]:
        raise ValueError(
            f'{transform}: expected masks with the frames and size of the clip '
            f'{(clip.shape[0], *clip.shape[-2:])}, got {tuple(masks.shape[1:])}; put it before '
            'TestResize, which leaves the masks at original resolution'
        )
