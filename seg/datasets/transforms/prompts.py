"""Clicks made from ground truth: random ones for training, central ones for evaluation."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform
from torch import Tensor

from seg.datasets.transforms.results import Results, largest_areas, require_in_step, rng_of
from seg.evaluation.functional import first_click
from seg.registry import TRANSFORMS
from seg.structures import Prompts

Click = tuple[int, float, float]  # frame, x, y


def random_point(mask: np.ndarray, rng: np.random.Generator) -> tuple[float, float]:
    """A uniformly random pixel of a mask.

    Args:
        mask: (H, W), bool, with at least one pixel set.
        rng: Where the randomness comes from.

    Returns:
        Centre (x, y) of the pixel, pixels.
    """
    pixels = np.flatnonzero(mask)
    y, x = divmod(int(pixels[rng.integers(len(pixels))]), mask.shape[1])
    return x + 0.5, y + 0.5


def usable_segments(results: Results, min_area: int) -> np.ndarray:
    """Rows of the segments that can be clicked: no crowds, visible somewhere, (n,), int64."""
    usable = largest_areas(results['masks']) >= max(min_area, 1)
    if 'is_crowd' in results:
        usable &= ~results['is_crowd']
    return torch.nonzero(usable).flatten().numpy()


def set_clicks(results: Results, targets: np.ndarray, clicks: list[Click]) -> None:
    """Write one click per row of ``targets`` into the sample.

    Args:
        results: The sample.
        targets: Segment of each click, (M,).
        clicks: (frame, x, y) of each.
    """
    index = torch.as_tensor(targets, dtype=torch.long)
    values = torch.tensor(clicks, dtype=torch.float32).reshape(-1, 3)
    results['prompts'] = Prompts.create(
        points=values[:, None, 1:],
        object_ids=results['object_ids'][index],
        frame_index=values[:, 0].long(),
    )
    results['prompt_targets'] = index


def _first_visible(masks: Tensor) -> tuple[int, np.ndarray]:
    """First frame of (T, H, W) in which a segment is visible, and its mask there."""
    frame = int(masks.flatten(1).any(dim=1).int().argmax())
    return frame, masks[frame].numpy()


@TRANSFORMS.register_module()
class RandomClickPrompts(BaseTransform):
    """One uniformly random click inside each of some random segments, things and stuff alike.

    Sets ``prompts`` (M rows of one foreground point, with the segments' object ids) and
    ``prompt_targets``. In clips a segment is clicked on its first visible frame. Crowds are not
    clicked. A sample without usable segments gets M = 0 prompts.

    Args:
        num_prompts: Largest number of clicks M.
        repeat: Whether to click segments again until there are ``num_prompts``, as the public
            training does.
        min_area: Smallest visible area of a segment to click, pixels of the clip.
    """

    def __init__(self, num_prompts: int = 30, repeat: bool = False, min_area: int = 1) -> None:
        if num_prompts < 1:
            raise ValueError(
                f'RandomClickPrompts.num_prompts: expected at least 1, got {num_prompts}'
            )
        self.num_prompts = num_prompts
        self.repeat = repeat
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample."""
        require_in_step(results, 'RandomClickPrompts')
        rng = rng_of(results)
        targets = rng.permutation(usable_segments(results, self.min_area))
        if self.repeat and len(targets):
            targets = np.resize(targets, self.num_prompts)
        targets = targets[: self.num_prompts]
        clicks = []
        for row in targets.tolist():
            frame, mask = _first_visible(results['masks'][row])
            clicks.append((frame, *random_point(mask, rng)))
        set_clicks(results, targets, clicks)
        return results


@TRANSFORMS.register_module()
class InteriorClickPrompts(BaseTransform):
    """One click at the most interior pixel of every segment; deterministic, for evaluation.

    The click is :func:`seg.evaluation.functional.first_click`.

    Sets the same keys as :class:`RandomClickPrompts`. Use it before ``TestResize``, so that it
    sees the masks at original resolution; crowds are not clicked.

    Args:
        min_area: Smallest visible area of a segment to click, pixels.
    """

    def __init__(self, min_area: int = 1) -> None:
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample."""
        require_in_step(results, 'InteriorClickPrompts')
        targets = usable_segments(results, self.min_area)
        clicks = []
        for row in targets.tolist():
            frame, mask = _first_visible(results['masks'][row])
            click = first_click(mask)
            clicks.append((frame, click.x, click.y))
        set_clicks(results, targets, clicks)
        return results
