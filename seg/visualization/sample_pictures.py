"""Pictures of samples as they come out of a pipeline: frames, segments and prompts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from seg.datasets.transforms.resize import resize_masks
from seg.structures import ClipSample, Prompts
from seg.visualization.contact_sheet import contact_sheet
from seg.visualization.layers import Layer, ground_truth_layers, object_colors, to_array
from seg.visualization.segment_visualizer import SegmentVisualizer

MAX_FRAMES = 6


def sample_picture(
    clip: torch.Tensor,
    sample: ClipSample,
    classes: Sequence[str],
    num_things: int,
    visualizer: SegmentVisualizer,
) -> np.ndarray:
    """Frames of a sample side by side, each with its segments and the prompts given on it.

    Of long clips some frames are shown, evenly spread, and all frames with prompts.

    Args:
        clip: (T, 3, H, W), uint8, RGB.
        sample: What ``PackClip`` made; ground truth of another size than the clip is fitted to it.
        classes: Names, things first.
        num_things: How many of the classes are things.
        visualizer: Draws the segments.

    Returns:
        (H, W, 3), uint8, RGB.
    """
    prompts = sample.prompts if 'prompts' in sample else None
    pictures, captions = [], []
    for frame in _shown_frames(len(clip), prompts):
        image = np.ascontiguousarray(clip[frame].permute(1, 2, 0).numpy())
        layers = _layers(sample, image.shape[:2], classes, num_things, frame)
        here = None
        if prompts is not None:
            rows = torch.nonzero(prompts.frame_index == frame).flatten()
            here = prompts[rows]
            layers += _phrase_layers(sample, rows, frame, image.shape[:2])
        pictures.append(visualizer.draw_layers(image, layers, here))
        captions.append(f'frame {frame}' if len(clip) > 1 else '')
    return contact_sheet(pictures, len(pictures), captions if len(clip) > 1 else None)


def sample_caption(sample: ClipSample) -> str:
    """One line about a sample: id, task, size, and numbers of segments and prompts."""
    parts = [
        str(sample.get('img_id', '')),
        str(sample.task.value),
        '{} x {}'.format(*sample.img_shape),
    ]
    if 'gt_segments' in sample:
        parts.append(f'{len(sample.gt_segments)} segments')
    if 'prompts' in sample:
        parts.append(f'{len(sample.prompts)} prompts')
    return ' · '.join(part for part in parts if part)


def _shown_frames(num_frames: int, prompts: Prompts | None) -> list[int]:
    spread = np.linspace(0, num_frames - 1, min(num_frames, MAX_FRAMES)).round().astype(int)
    prompted = [] if prompts is None else prompts.frame_index.unique().tolist()
    return sorted({*spread.tolist(), *prompted})


def _layers(
    sample: ClipSample, size: Sequence[int], classes: Sequence[str], num_things: int, frame: int
) -> list[Layer]:
    """Segments that a frame shows, at its size."""
    if 'gt_segments' not in sample:
        return []
    layers = ground_truth_layers(sample.gt_segments, classes, num_things, frame)
    fitted = [replace(layer, mask=_fit(layer.mask, size)) for layer in layers]
    return [layer for layer in fitted if layer.mask.any()]


def _fit(mask: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """A mask at another size, nearest neighbour."""
    return resize_masks(torch.from_numpy(mask), (size[0], size[1])).numpy()


def _phrase_layers(
    sample: ClipSample, rows: torch.Tensor, frame: int, size: Sequence[int]
) -> list[Layer]:
    """Phrases on the segments that they mean.

    Args:
        sample: With prompts.
        rows: Those given on the frame, (M,), int64.
        frame: Which frame.
        size: (H, W) of the picture.
    """
    if 'prompt_targets' not in sample:
        return []
    prompts = sample.prompts
    colors = object_colors(prompts.object_ids.tolist())
    layers: list[Layer] = []
    for row in rows.tolist():
        text = prompts.texts[row]
        if text is not None:
            target = int(sample.prompt_targets[row])
            mask = to_array(sample.gt_segments.masks[target, frame])
            layers.append(Layer(_fit(mask, size), colors[int(prompts.object_ids[row])], text))
    return layers
