"""The demo's panoptic task."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from seg.apis.demo_tasks.base import ImageDemoTask, demo_task
from seg.apis.inferencer import InferenceResult
from seg.structures import ClipSample, Task
from seg.visualization import SegmentVisualizer


@demo_task
class PanopticDemo(ImageDemoTask):
    """Everything in the image: things one by one, stuff by class."""

    task = Task.PANOPTIC

    def draw(
        self, result: InferenceResult, classes: Sequence[str], visualizer: SegmentVisualizer
    ) -> np.ndarray:
        """The image under its segments."""
        return visualizer.draw_panoptic(result.image, result.panoptic, classes)

    def summarize(self, sample: ClipSample, classes: Sequence[str]) -> str:
        """Such as ``'2 x star, disc, water'``."""
        segments = sorted(sample.pred_panoptic.segments, key=lambda segment: segment.label)
        counts = Counter(classes[segment.label] for segment in segments)
        parts = [name if count == 1 else f'{count} x {name}' for name, count in counts.items()]
        return ', '.join(parts) or 'nothing found'
