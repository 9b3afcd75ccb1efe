"""Masks of objects in the frame in which they appear, as evaluations of video objects give them."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from seg.datasets.transforms.results import Results, require_in_step
from seg.registry import TRANSFORMS
from seg.structures import Prompts
from seg.utils.checks import UserError


@TRANSFORMS.register_module()
class AppearingMaskPrompts(BaseTransform):
    """The exact mask of every object in the first annotated frame that shows it; for evaluation.

    Most objects of DAVIS are there from frame 0 on; one that appears later gets its mask then, in
    a row with that ``frame_index``. Sets ``prompts`` and ``prompt_targets``, sorted by frame, and
    changes nothing else. Crowds are no objects. Put it before ``TestResize``.

    Args:
        min_area: Smallest area in that frame, pixels at original size; an object is waited for
            until it shows as much, and left out if it never does.
        num_things: Only segments whose label is below are objects, or unknown (-1); ``None`` for
            all.

    Raises:
        UserError: If ``min_area`` is below 1.
    """

    def __init__(self, min_area: int = 1, num_things: int | None = None) -> None:
        if min_area < 1:
            raise UserError(f'AppearingMaskPrompts: expected min_area >= 1, got {min_area}')
        self.min_area = min_area
        self.num_things = num_things

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample."""
        require_in_step(results, 'AppearingMaskPrompts')
        masks = results['masks']
        frames = list(results.get('annotated_frames', range(masks.shape[1])))
        areas = np.array(
            [[np.count_nonzero(masks[row, t].numpy()) for t in frames] for row in range(len(masks))]
        ).reshape(len(masks), len(frames))
        wanted = ~results['is_crowd'].numpy()
        if self.num_things is not None:
            wanted &= results['labels'].numpy() < self.num_things
        shown = (areas >= self.min_area) & wanted[:, None]
        rows = np.flatnonzero(shown.any(axis=1))
        first = np.array(frames, dtype=np.int64)[shown[rows].argmax(axis=1)]
        order = np.argsort(first, kind='stable')
        targets, first_frames = torch.from_numpy(rows[order]), torch.from_numpy(first[order])
        results['prompts'] = Prompts.create(
            masks=masks[targets, first_frames],
            object_ids=results['object_ids'][targets],
            frame_index=first_frames,
        )
        results['prompt_targets'] = targets
        return results
