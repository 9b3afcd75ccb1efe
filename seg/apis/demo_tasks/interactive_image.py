"""The demo's task of prompted objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from seg.apis.demo_tasks.base import DemoRequest, ImageDemoTask, demo_task
from seg.apis.inferencer import InferenceResult
from seg.structures import ClipSample, Task
from seg.utils.checks import UserError
from seg.visualization import SegmentVisualizer


@demo_task
class InteractiveImageDemo(ImageDemoTask):
    """A mask for every object; on Shapes without prompts, those of every kind are simulated."""

    task = Task.INTERACTIVE_IMAGE

    def check(self, model: Any, request: DemoRequest) -> None:
        """Images of one's own need prompts."""
        if request.sources and request.prompts is None:
            raise UserError(
                'prompts: expected some for the task interactive_image on images of your own, got '
                'none; add --point x,y (pixels from the top left), --box, --mask or --text'
            )
        super().check(model, request)

    def draw(
        self, result: InferenceResult, classes: Sequence[str], visualizer: SegmentVisualizer
    ) -> np.ndarray:
        """The image under its masks, with the prompts on top."""
        assert result.prompts is not None, 'prompted tasks have prompts'
        scores = result.iou_scores if visualizer.show_scores else None
        return visualizer.draw_prompted(result.image, result.masks, result.prompts, scores)

    def summarize(self, sample: ClipSample, classes: Sequence[str]) -> str:
        """Such as ``'3 objects, predicted IoU 0.78'``, the mean over their prompts."""
        scores = sample.pred_prompted.iou_scores[:, 0]
        num = len(sample.pred_prompted.object_ids.unique())
        count = '1 object' if num == 1 else f'{num} objects'
        return f'{count}, predicted IoU {float(scores.mean()):.2f}'
