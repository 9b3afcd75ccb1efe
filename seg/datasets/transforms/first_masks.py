"""Masks of the first frame as prompts, as video object segmentation gives them."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from seg.datasets.transforms.results import Results, require_in_step, rng_of
from seg.registry import TRANSFORMS
from seg.structures import Prompts
from seg.utils.checks import UserError


@TRANSFORMS.register_module()
class FirstMaskPrompts(BaseTransform):
    """The exact masks of objects on the first frame; objects that enter later are not followed.

    Sets ``prompts`` (one row per object, with its id) and ``prompt_targets``. Crowds are left out.
    Put it after crops and flips.

    Args:
        max_objects: Most objects, chosen at random; ``None`` for all, in their order.
        min_area: Smallest visible area on the first frame, pixels of the clip.
        num_things: Only segments whose label is below are followed, or unknown; ``None`` for all.

    Raises:
        UserError: If a number is out of range.
    """

    def __init__(
        self, max_objects: int | None = None, min_area: int = 1, num_things: int | None = None
    ) -> None:
        if (max_objects is not None and max_objects < 1) or min_area < 1:
            raise UserError(
                'FirstMaskPrompts: expected max_objects and min_area >= 1, got '
                f'{max_objects} and {min_area}'
            )
        self.max_objects = max_objects
        self.min_area = min_area
        self.num_things = num_things

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample."""
        require_in_step(results, 'FirstMaskPrompts')
        masks = results['masks'][:, 0]
        usable = masks.flatten(1).sum(dim=1) >= self.min_area
        if 'is_crowd' in results:
            usable &= ~results['is_crowd']
        if self.num_things is not None:
            usable &= results['labels'] < self.num_things
        chosen = usable.nonzero().flatten().numpy()
        if self.max_objects is not None and len(chosen) > self.max_objects:
            chosen = np.sort(rng_of(results).permutation(chosen)[: self.max_objects])
        rows = torch.as_tensor(chosen, dtype=torch.long)
        results['prompts'] = Prompts.create(
            masks=masks[rows], object_ids=results['object_ids'][rows]
        )
        results['prompt_targets'] = rows
        return results
