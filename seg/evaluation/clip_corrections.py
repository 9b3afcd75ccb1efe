"""Simulated corrections of objects that are followed through a clip."""

from __future__ import annotations

import numpy as np
import torch

from seg.evaluation.functional.clicks import next_click
from seg.structures import ClipSample, PointLabel, Prompts


def with_corrections(sample: ClipSample, frame: int, min_area: int) -> ClipSample:
    """The clip once more, with a click on the largest error of each object on one frame.

    Args:
        sample: With ground truth, ``pred_tracks``, and ``prompts`` in pixels of the network's
            input, which the new sample has too.
        frame: Which frame; objects that are first prompted there or later are not corrected.
        min_area: Objects that show fewer pixels there are not corrected.

    Returns:
        A sample without predictions.
    """
    corrected = ClipSample(metainfo=sample.metainfo)
    corrected.gt_segments = sample.gt_segments
    points, labels, rows = [], [], []
    for row, object_id in _known_objects(sample, frame):
        target = int(sample.prompt_targets[row])
        truth = sample.gt_segments.masks[target, frame].cpu().numpy()
        if np.count_nonzero(truth) < min_area:
            continue
        click = next_click(sample.pred_tracks.masks(object_id)[frame].cpu().numpy(), truth)
        if click is not None:
            points.append([[click.x, click.y]])
            labels.append([PointLabel.FOREGROUND if click.is_positive else PointLabel.BACKGROUND])
            rows.append(row)
    corrected.prompts, corrected.prompt_targets = sample.prompts, sample.prompt_targets
    if rows:
        clicks = Prompts.create(
            points=torch.tensor(points) * _scale(sample),
            point_labels=torch.tensor(labels, dtype=torch.long),
            object_ids=sample.prompts.object_ids[rows].cpu(),
            frame_index=frame,
        )
        corrected.prompts = Prompts.concatenate([sample.prompts.to('cpu'), clicks])
        corrected.prompt_targets = torch.cat([sample.prompt_targets, sample.prompt_targets[rows]])
    return corrected


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
