"""The demo that finds everything with a grid of points."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from seg.apis.automatic_masks import AutomaticMaskGenerator
from seg.apis.demo_tasks.base import (
    FURTHER_DEMOS,
    DemoPicture,
    DemoRequest,
    DemoTask,
    demo_images,
    file_names,
)
from seg.structures import PanopticData, Segment, Task
from seg.utils.checks import UserError

_MIN_IOU = 0.5


class EverythingDemo(DemoTask):
    """Every mask that a grid of points finds, in images of any kind."""

    task = Task.INTERACTIVE_IMAGE

    def check(self, model: Any, request: DemoRequest) -> None:
        """Prompts come from the grid; every file is read once."""
        if request.prompts is not None:
            raise UserError(
                'point: expected no prompts for the task everything, got some; leave them out, or '
                'use --task interactive_image'
            )
        make_generator(model, request)
        for _ in demo_images(model, request):
            pass

    def run(self, model: Any, request: DemoRequest) -> Iterator[DemoPicture]:
        """One picture per image."""
        generator = make_generator(model, request)
        for name, image in zip(file_names(request), demo_images(model, request), strict=True):
            found = generator.generate(image)
            masks = [mask['segmentation'] for mask in found]
            picture = request.visualizer.draw_panoptic(image, map_of(masks, image), ['object'])
            yield DemoPicture(name, picture, f'{len(masks)} masks')


def make_generator(model: Any, request: DemoRequest) -> AutomaticMaskGenerator:
    """The generator that a request asks for."""
    least = request.min_iou_score
    return AutomaticMaskGenerator(
        model,
        points_per_side=request.points_per_side,
        pred_iou_thresh=_MIN_IOU if least is None else least,
        stability_score_thresh=request.min_stability,
    )


def map_of(masks: list[np.ndarray], image: np.ndarray) -> PanopticData:
    """Masks that may overlap as a map, small ones on top of large ones."""
    values = np.zeros((1, *image.shape[:2]), dtype=np.int32)
    for number, mask in enumerate(sorted(masks, key=np.count_nonzero, reverse=True), start=1):
        values[0, mask] = number
    shown = [int(value) for value in np.unique(values) if value]
    segments = [Segment(id=value, label=0, is_thing=True, score=1.0) for value in shown]
    return PanopticData(torch.from_numpy(values), segments)


FURTHER_DEMOS['everything'] = EverythingDemo()
