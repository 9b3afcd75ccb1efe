"""The demo's table of tasks and what its tasks on images share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from seg.apis.image_sources import names_of
from seg.apis.inferencer import ImageInput, Inferencer, InferenceResult
from seg.apis.prompt_checks import check_prompts
from seg.apis.shapes_samples import ShapesSamples, check_knows_shapes
from seg.datasets.imaging import read_image
from seg.structures import ClipSample, Prompts, Task
from seg.utils.checks import UserError, unknown_name_message
from seg.visualization import SegmentVisualizer


@dataclass(frozen=True)
class DemoRequest:
    """What the user of the demo asked for.

    Attributes:
        sources: Image files; empty for samples of Shapes.
        prompts: In pixels of every image; ``None`` for none.
        num_shapes: How many samples of Shapes.
        seed: Which validation world of Shapes.
        min_iou_score: Masks that the model rates lower are left out; ``None`` for what suits the
            task.
        min_stability: Likewise, masks that change more with the threshold, in the task everything.
        points_per_side: Points along each side of the grid of the task everything.
        visualizer: What draws the pictures.
    """

    sources: Sequence[Path] = ()
    prompts: Prompts | None = None
    num_shapes: int = 6
    seed: int = 0
    min_iou_score: float | None = None
    min_stability: float = 0.85
    points_per_side: int = 16
    visualizer: SegmentVisualizer = field(default_factory=SegmentVisualizer)


@dataclass(frozen=True)
class DemoPicture:
    """One picture for the user.

    Attributes:
        name: File name without suffix.
        image: (H, W, 3), uint8, RGB.
        summary: What was found, in a few words.
    """

    name: str
    image: np.ndarray
    summary: str


class DemoTask(ABC):
    """What the demo does for one task."""

    task: ClassVar[Task]

    @abstractmethod
    def check(self, model: Any, request: DemoRequest) -> None:
        """Find mistakes in a request before anything is computed or written.

        Raises:
            UserError: With the first mistake.
        """

    @abstractmethod
    def run(self, model: Any, request: DemoRequest) -> Iterator[DemoPicture]:
        """Make the pictures, one after the other."""


DEMO_TASKS: dict[Task, DemoTask] = {}

FURTHER_DEMOS: dict[str, DemoTask] = {}
"""Demos by name that are no task of a model."""


def demo_task(cls: type[DemoTask]) -> type[DemoTask]:
    """Class decorator that offers a task in the demo."""
    assert cls.task not in DEMO_TASKS, f'two demos for the task {cls.task}'
    DEMO_TASKS[cls.task] = cls()
    return cls


def find_demo_task(name: str) -> DemoTask:
    """The demo of a task.

    Raises:
        UserError: If there is none.
    """
    if name in FURTHER_DEMOS:
        return FURTHER_DEMOS[name]
    names = [task.value for task in DEMO_TASKS]
    if name not in names:
        raise UserError(unknown_name_message('task', name, [*names, *FURTHER_DEMOS]))
    return DEMO_TASKS[Task(name)]


class ImageDemoTask(DemoTask):
    """A task on single images, from files or from Shapes."""

    def check(self, model: Any, request: DemoRequest) -> None:
        """Read every file once and place the prompts in it."""
        if model.entry is not None and self.task not in model.entry.tasks:
            names = ', '.join(task.value for task in model.entry.tasks)
            raise UserError(f'task: expected one that the model knows ({names}), got {self.task}')
        if request.prompts is not None and not self.task.is_prompted:
            raise UserError(
                f'prompts: expected none for the task {self.task}, got some; leave them out, or '
                'use --task interactive_image'
            )
        if not request.sources:
            check_knows_shapes(model.dataset_meta)
        for image in demo_images(model, request):
            if request.prompts is not None:
                check_prompts(
                    request.prompts, image.shape[:2], model.prompt_kinds, model.prompt_refusals
                )

    def run(self, model: Any, request: DemoRequest) -> Iterator[DemoPicture]:
        """One picture per image; samples of Shapes beside their ground truth."""
        if request.sources or request.prompts is not None:
            yield from self._run_on_images(model, request)
            return
        classes, num_things = model.dataset_meta['classes'], model.dataset_meta['num_things']
        samples = ShapesSamples(
            self.task,
            model.cfg,
            request.num_shapes,
            request.seed,
            prompt_features=model.prompt_kinds if self.task.is_prompted else (),
        )
        for index, item in enumerate(samples):
            with torch.no_grad():
                (sample,) = model.test_step(
                    {'inputs': [item.inputs], 'data_samples': [item.sample]}
                )
            picture = request.visualizer.draw_comparison(item.image, sample, classes, num_things)
            yield DemoPicture(shapes_name(index), picture, self.summarize(sample, classes))

    def _run_on_images(self, model: Any, request: DemoRequest) -> Iterator[DemoPicture]:
        inferencer = Inferencer(model, request.min_iou_score or 0.0)
        classes = model.dataset_meta['classes']
        names = file_names(request)
        for name, image in zip(names, demo_images(model, request), strict=True):
            item = ImageInput(image, prompts=request.prompts)
            (result,) = inferencer.predict([item], self.task)
            picture = self.draw(result, classes, request.visualizer)
            yield DemoPicture(name, picture, self.summarize(result.sample, classes))

    @abstractmethod
    def draw(
        self, result: InferenceResult, classes: Sequence[str], visualizer: SegmentVisualizer
    ) -> np.ndarray:
        """The picture of an image without ground truth."""

    @abstractmethod
    def summarize(self, sample: ClipSample, classes: Sequence[str]) -> str:
        """What was found, in a few words."""


def shapes_name(index: int) -> str:
    """File name of a sample of Shapes."""
    return f'shapes_{index:03d}'


def file_names(request: DemoRequest) -> list[str]:
    """A name for each picture, see :func:`~seg.apis.image_sources.names_of`."""
    if not request.sources:
        return [shapes_name(index) for index in range(request.num_shapes)]
    return names_of(request.sources)


def demo_images(model: Any, request: DemoRequest) -> Iterator[np.ndarray]:
    """The images of a request, (H, W, 3), uint8, RGB, read or drawn one after the other."""
    if request.sources:
        return (read_image(source, exif=True) for source in request.sources)
    samples = ShapesSamples(Task.PANOPTIC, model.cfg, request.num_shapes, request.seed)
    return (item.image for item in samples)
