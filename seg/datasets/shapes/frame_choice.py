"""Which frames of a long clip become a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from seg.datasets.shapes.sample import ShapesAnnotations, find_occlusions
from seg.datasets.shapes.scene import MIN_VISIBLE

FRAMES_AROUND = 10
"""How long before and after an occlusion a sample may look."""

FEWEST_FRAMES = 3
"""A thing is seen, hidden, and seen again."""


@dataclass(frozen=True)
class FrameChoice:
    """Draws frames; the first one is always the clip's.

    Args:
        rng: Source of randomness.
        num_frames: How many.
        gaps: Smallest and largest step between two of them.
        occlusion_prob: How often, in clips that hide a thing of frame 0 for a while, the frames
            show it hidden and again after that, at any steps; takes three frames or more.
    """

    rng: np.random.Generator
    num_frames: int
    gaps: tuple[int, int]
    occlusion_prob: float = 0.0

    def __call__(self, clip: ShapesAnnotations) -> Sequence[int]:
        """Frames of a clip, increasing."""
        if self.rng.random() < self.occlusion_prob:
            occluded = self._around_occlusion(clip)
            if occluded is not None:
                return occluded
        low, high = self.gaps
        steps = self.rng.integers(low, high + 1, size=self.num_frames - 1)
        return [0, *np.cumsum(steps).tolist()]

    def _around_occlusion(self, clip: ShapesAnnotations) -> list[int] | None:
        """A frame in which a thing is hidden, one after that, and others nearby."""
        visible = clip.visible_areas
        cases = [
            case
            for case in find_occlusions(visible[clip.is_thing], clip.inside_areas[clip.is_thing])
            if visible[case.thing, 0] >= MIN_VISIBLE
        ]
        if not cases:
            return None
        thing, start, stop = cases[self.rng.integers(len(cases))]
        last = min(stop + FRAMES_AROUND, visible.shape[1])
        seen = stop + np.flatnonzero(visible[thing, stop:last])
        nearby = np.arange(max(1, start - FRAMES_AROUND), last)
        if not len(seen) or len(nearby) < self.num_frames - 1:
            return None
        asked = [self.rng.integers(start, stop), self.rng.choice(seen)]
        others = np.setdiff1d(nearby, asked)
        rest = self.rng.choice(others, self.num_frames - 3, replace=False)
        return [0, *np.sort([*asked, *rest]).tolist()]
