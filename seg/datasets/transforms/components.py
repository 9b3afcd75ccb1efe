"""Connected regions as segments of their own."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from mmcv.transforms import BaseTransform

from seg.datasets.transforms.results import Results, require_in_step
from seg.registry import TRANSFORMS
from seg.utils.checks import UserError


@TRANSFORMS.register_module()
class SplitComponents(BaseTransform):
    """Makes every 8-connected region of a segment a segment of its own, with the same class.

    Images only, before prompts are made. Object ids become 1..N; crowds stay whole.
    """

    def transform(self, results: Results) -> Results:
        """Split the segments of one sample.

        Raises:
            UserError: If it is a clip of several frames, or has prompts already.
        """
        require_in_step(results, 'SplitComponents')
        if len(results['clip']) != 1 or 'prompts' in results:
            raise UserError(
                'SplitComponents: expected an image (a clip of one frame) without prompts; put it '
                'before the step that makes prompts'
            )
        parts: list[np.ndarray] = []
        rows: list[int] = []
        for row, mask in enumerate(results['masks'][:, 0].numpy()):
            split = [mask] if bool(results['is_crowd'][row]) else _regions(mask)
            parts += split
            rows += [row] * len(split)
        index = torch.tensor(rows, dtype=torch.long)
        shape = (0, *results['clip'].shape[-2:])
        masks = np.stack(parts) if parts else np.zeros(shape, dtype=bool)
        results['masks'] = torch.from_numpy(masks)[:, None]
        results['labels'] = results['labels'][index]
        results['is_crowd'] = results['is_crowd'][index]
        results['object_ids'] = torch.arange(1, len(rows) + 1)
        return results


def _regions(mask: np.ndarray) -> list[np.ndarray]:
    """The 8-connected regions of a mask (H, W)."""
    count, numbers = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    return [numbers == number for number in range(1, count)]
