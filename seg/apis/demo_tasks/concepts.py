"""The demo that finds all instances of phrases, or of what boxes show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from mmengine.structures import InstanceData

from seg.apis.demo_tasks.base import (
    FURTHER_DEMOS,
    DemoPicture,
    DemoRequest,
    DemoTask,
    demo_images,
    file_names,
)
from seg.apis.image_predictor import FoundInstances, ImagePredictor
from seg.apis.prompt_checks import check_prompts
from seg.models.detectors import Sam3Segmentor
from seg.structures import Prompts, Task
from seg.utils.checks import UserError
from seg.visualization.layers import instance_layers


class ConceptsDemo(DemoTask):
    """All instances of every phrase and of every box's object, with their scores."""

    task = Task.INTERACTIVE_IMAGE

    def check(self, model: Any, request: DemoRequest) -> None:
        """Every image is read once, and phrases and boxes are placed in it."""
        if not isinstance(model, Sam3Segmentor):
            raise UserError(
                'task: expected a model that finds all instances of a phrase (SAM 3) for the task '
                f'concepts, got {type(model).__name__}; use --task interactive_image'
            )
        if request.prompts is None:
            raise UserError(
                'prompts: expected some for the task concepts, got none; add --text "yellow bus", '
                'or --box around an example'
            )
        for image in demo_images(model, request):
            check_prompts(
                request.prompts, image.shape[:2], model.prompt_kinds, model.prompt_refusals
            )

    def run(self, model: Any, request: DemoRequest) -> Iterator[DemoPicture]:
        """One picture per image; each image is encoded once for all phrases."""
        prompts = request.prompts
        assert prompts is not None, 'checked before'
        predictor = ImagePredictor(model)
        names = _names(prompts)
        shown = [label for label, has_box in enumerate(prompts.has_box.tolist()) if has_box]
        for name, image in zip(file_names(request), demo_images(model, request), strict=True):
            predictor.set_image(image)
            found = predictor.find(prompts.texts, prompts.boxes.numpy() if shown else None)
            layers = instance_layers(_as_instances(found), names, 0, request.min_iou_score or 0.0)
            picture = request.visualizer.draw_layers(image, layers, prompts[shown])
            yield DemoPicture(name, picture, _summary(found, names, request.min_iou_score or 0.0))


def _names(prompts: Prompts) -> list[str]:
    """What instances of each row are called."""
    return ['like the box' if text is None else text for text in prompts.texts]


def _as_instances(found: FoundInstances) -> InstanceData:
    return InstanceData(
        masks=torch.from_numpy(found.masks)[:, None],
        scores=torch.from_numpy(found.scores),
        labels=torch.from_numpy(found.rows),
    )


def _summary(found: FoundInstances, names: list[str], least: float) -> str:
    """Such as ``'2 dog, 0 yellow bus'``."""
    rows = found.rows[found.scores >= least].tolist()
    return ', '.join(f'{rows.count(row)} {name}' for row, name in enumerate(names))


FURTHER_DEMOS['concepts'] = ConceptsDemo()
