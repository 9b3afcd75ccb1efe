"""Trivial baselines for videos: nothing ever moves."""

from __future__ import annotations

import numpy as np
import torch
from pycocotools import mask as rle
from torch import Tensor

from seg.evaluation.metrics.common import to_array
from seg.structures import ClipSample, PanopticData, TrackData, Tube
from seg.structures.tracks import RunLengths
from seg.utils.checks import UserError


def copy_first_masks(sample: ClipSample) -> TrackData:
    """Every object stays where it was given, from the frame of its first prompt on.

    Args:
        sample: Ground truth at original size, ``prompts`` and ``prompt_targets``.

    Raises:
        UserError: If the sample has no prompts.
    """
    if 'prompts' not in sample or 'prompt_targets' not in sample:
        raise UserError(
            'sample: expected prompts made from its ground truth, got none; put '
            'AppearingMaskPrompts into the pipeline'
        )
    masks = sample.gt_segments.masks.cpu()
    id_maps = torch.zeros(masks.shape[1:], dtype=torch.int32)
    rows = zip(
        sample.prompts.object_ids.tolist(),
        sample.prompts.frame_index.tolist(),
        sample.prompt_targets.tolist(),
        strict=True,
    )
    given: list[int] = []
    for object_id, frame, target in rows:
        if object_id not in given:
            given.append(object_id)
            id_maps[frame:, masks[target, frame]] = object_id
    return TrackData(id_maps, tuple(given))


def repeat_first_frame(prediction: PanopticData, num_frames: int) -> PanopticData:
    """The panoptic map of one frame, (1, H, W), for all frames of a clip.

    Raises:
        UserError: If it has several frames.
    """
    if len(prediction.segment_map) != 1:
        raise UserError(
            'prediction: expected the map of one frame, (1, H, W), got '
            f'{tuple(prediction.segment_map.shape)}'
        )
    return PanopticData(prediction.segment_map.repeat(num_frames, 1, 1), prediction.segments)


def tubes_of(prediction: PanopticData) -> list[Tube]:
    """The things of a panoptic clip as tubes of video instances."""
    return [
        Tube(
            segment.label,
            segment.score,
            tuple(_encode(frame == segment.id) for frame in prediction.segment_map.cpu()),
        )
        for segment in prediction.segments
        if segment.is_thing
    ]


def _encode(mask: Tensor) -> RunLengths | None:
    if not mask.any():
        return None
    code = rle.encode(np.asfortranarray(to_array(mask).astype(np.uint8)))
    return RunLengths(size=code['size'], counts=code['counts'])
