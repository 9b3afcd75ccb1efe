"""Simulated corrections of objects that are followed through a clip."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch

from seg.evaluation.functional.clicks import Click, next_click
from seg.structures import ClipSample, Prompts


def correction_clicks(sample: ClipSample, frame: int, min_area: int) -> dict[int, Click]:
    """A click on the largest error of each object on one frame, by id, in original pixels.

    Args:
        sample: With ground truth, ``prompts`` and ``pred_tracks``.
        frame: Which frame; objects that are first prompted there or later are not corrected.
        min_area: Objects that show fewer pixels there are not corrected.
    """
    clicks = {}
    for row, object_id in _known_objects(sample, frame):
        truth = sample.gt_segments.masks[int(sample.prompt_targets[row]), frame].cpu().numpy()
        if np.count_nonzero(truth) < min_area:
            continue
        click = next_click(sample.pred_tracks.masks(object_id)[frame].cpu().numpy(), truth)
        if click is not None:
            clicks[object_id] = click
    return clicks


def with_clicks(sample: ClipSample, clicks: Mapping[int, Click], frame: int) -> ClipSample:
    """The clip once more, without predictions, with further clicks on one frame.

    Args:
        sample: With ground truth, and ``prompts`` in pixels of the network's input, which the new
            sample has too.
        clicks: By id, in original pixels.
        frame: Which frame.
    """
    clicked = ClipSample(metainfo=sample.metainfo)
    clicked.gt_segments = sample.gt_segments
    clicked.prompts, clicked.prompt_targets = sample.prompts, sample.prompt_targets
    if clicks:
        ids = sample.prompts.object_ids.tolist()
        rows = [ids.index(object_id) for object_id in clicks]
        points = torch.tensor([[[click.x, click.y]] for click in clicks.values()])
        labels = torch.tensor([[int(click.is_positive)] for click in clicks.values()])
        added = Prompts.create(
            points=points * _scale(sample),
            point_labels=labels,
            object_ids=torch.tensor(list(clicks)),
            frame_index=frame,
        )
        clicked.prompts = Prompts.concatenate([sample.prompts.to('cpu'), added])
        clicked.prompt_targets = torch.cat([sample.prompt_targets, sample.prompt_targets[rows]])
    return clicked


def _known_objects(sample: ClipSample, frame: int) -> list[tuple[int, int]]:
    """First row and id of the objects that were prompted before a frame."""
    first: dict[int, int] = {}
    ids, frames = sample.prompts.object_ids.tolist(), sample.prompts.frame_index.tolist()
    for row in sorted(range(len(ids)), key=lambda row: frames[row]):
        first.setdefault(ids[row], row)
    return [(row, object_id) for object_id, row in first.items() if frames[row] < frame]


def _scale(sample: ClipSample) -> torch.Tensor:
    """From pixels of the original to those of the network's input, (x, y)."""
    (height, width), (old_height, old_width) = sample.img_shape, sample.ori_shape
    return torch.tensor([width / old_width, height / old_height])
