"""A clip as a strip of frames: the truth in one row, what was predicted in the next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from seg.structures import ClipSample, TrackData
from seg.visualization.contact_sheet import contact_sheet
from seg.visualization.layers import (
    Layer,
    ground_truth_layers,
    panoptic_layers,
    prompts_on_image,
    to_array,
)
from seg.visualization.palettes import id_color
from seg.visualization.segment_visualizer import SegmentVisualizer

MAX_FRAMES = 6
STRIP_WIDTH = 2400
_CELL_WIDTH = 390


def strip_frames(num_frames: int, count: int = MAX_FRAMES) -> list[int]:
    """The frames of a strip: the first, the last, and some evenly between them."""
    places = np.linspace(0, num_frames - 1, min(count, num_frames))
    return [int(place) for place in places.round()]


def clip_strip(
    images: Mapping[int, np.ndarray],
    sample: ClipSample,
    classes: Sequence[str],
    num_things: int | None,
    visualizer: SegmentVisualizer,
) -> np.ndarray:
    """Frames side by side, with the truth above the prediction; a colour stays with its id.

    Of followed objects the truth shows those that were prompted, with their prompts.

    Args:
        images: Number of a frame -> picture at the original size, (H, W, 3), uint8, RGB.
        sample: With ``pred_tracks`` or ``pred_panoptic``, and ground truth.
        classes: Names, things first.
        num_things: How many of the classes are things; all when left out.
        visualizer: Draws the segments.

    Raises:
        ValueError: If the sample holds neither prediction.
    """
    if 'pred_tracks' not in sample and 'pred_panoptic' not in sample:
        raise ValueError(
            'sample: expected pred_tracks or pred_panoptic of a clip, got neither; pass what '
            'model.test_step returned'
        )
    pictures, captions = [], []
    prompts = prompts_on_image(sample) if 'prompts' in sample else None
    for frame, image in images.items():
        here = None if prompts is None else prompts[(prompts.frame_index == frame).nonzero()[:, 0]]
        truth = _truth(sample, classes, num_things, frame)
        pictures.append(visualizer.draw_layers(image, truth, here))
        captions.append(f'truth, frame {frame}')
    for frame, image in images.items():
        pictures.append(visualizer.draw_layers(image, _predicted(sample, classes, frame)))
        captions.append(f'prediction, frame {frame}')
    return contact_sheet(pictures, len(images), captions, _CELL_WIDTH)


def track_layers(tracks: TrackData, frame: int) -> list[Layer]:
    """Followed objects on one frame, captioned by their ids."""
    id_map = to_array(tracks.id_maps)[frame]
    return [
        Layer(id_map == i, id_color(i), str(i)) for i in tracks.object_ids if (id_map == i).any()
    ]


def _predicted(sample: ClipSample, classes: Sequence[str], frame: int) -> list[Layer]:
    if 'pred_tracks' in sample:
        return track_layers(sample.pred_tracks, frame)
    layers = panoptic_layers(sample.pred_panoptic, classes, frame)
    return [layer for layer in layers if layer.mask.any()]


def _truth(
    sample: ClipSample, classes: Sequence[str], num_things: int | None, frame: int
) -> list[Layer]:
    segments = sample.gt_segments
    if 'pred_tracks' not in sample:
        layers = ground_truth_layers(segments, classes, num_things, frame)
        return [layer for layer in layers if layer.mask.any()]
    rows = dict.fromkeys(to_array(sample.prompt_targets).tolist())
    masks, ids = to_array(segments.masks), to_array(segments.object_ids)
    return [
        Layer(masks[row, frame].astype(bool), id_color(int(ids[row])), str(int(ids[row])))
        for row in rows
        if masks[row, frame].any()
    ]
