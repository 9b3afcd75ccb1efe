"""Segmenting files, folders and arrays."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from mmengine.dataset import Compose
from mmengine.structures import InstanceData

from seg.apis.frame_packing import pack_image
from seg.apis.image_sources import ImageSource, list_sources
from seg.apis.overlapped import Upload
from seg.apis.prompt_checks import check_min_iou_score, check_prompts, drop_poor_masks
from seg.apis.prompt_input import make_prompts
from seg.apis.test_pipeline import build_test_transforms
from seg.datasets.imaging import read_image
from seg.structures import ClipSample, PanopticData, Prompts, Task
from seg.utils.checks import UserError, unknown_name_message
from seg.utils.devices import device_of

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageInput:
    """One image to segment.

    Attributes:
        image: (H, W, 3), uint8, RGB.
        path: Where it came from, if from a file.
        prompts: In pixels of the image; for prompted tasks.
    """

    image: np.ndarray
    path: Path | None = None
    prompts: Prompts | None = None


@dataclass(frozen=True)
class InferenceResult:
    """What the model saw in one image; everything has the size of the image.

    Attributes:
        path: Where the image came from, if from a file.
        image: (H, W, 3), uint8, RGB.
        prompts: In pixels of the image, if there were any.
        sample: The predictions, on the CPU.
    """

    path: Path | None
    image: np.ndarray
    prompts: Prompts | None
    sample: ClipSample

    @property
    def panoptic(self) -> PanopticData:
        """Every pixel's segment (task ``panoptic``)."""
        return self.sample.pred_panoptic

    @property
    def instances(self) -> InstanceData:
        """Things, overlapping or not, with scores (task ``panoptic``)."""
        return self.sample.pred_instances

    @property
    def semantic_map(self) -> np.ndarray:
        """Class index of each pixel, -1 for void, (H, W), int32 (task ``panoptic``)."""
        segments = self.panoptic.segments
        largest = max((segment.id for segment in segments), default=0)
        label_of = np.full(largest + 1, -1, dtype=np.int32)
        for segment in segments:
            label_of[segment.id] = segment.label
        return label_of[self.panoptic.segment_map[0].numpy()]

    @property
    def masks(self) -> np.ndarray:
        """The best mask of each prompted object, (N, H, W), bool (prompted tasks)."""
        return self.sample.pred_prompted.masks[:, 0, 0].numpy()

    @property
    def iou_scores(self) -> np.ndarray:
        """Predicted quality of ``masks``, (N,), in [0, 1] (prompted tasks)."""
        return self.sample.pred_prompted.iou_scores[:, 0].numpy()


class Inferencer:
    """Runs a model on images of any size.

    Images go through the test pipeline of the model's config; predictions come back at the
    size of the image.

    Args:
        model: From :func:`~seg.apis.load_model`.
        min_iou_score: Masks of prompted objects that the model rates lower come back empty.

    Raises:
        UserError: If the model's config has no test data, or the score is not in [0, 1].
    """

    def __init__(self, model: Any, min_iou_score: float = 0.0) -> None:
        self.model = model
        self.min_iou_score = check_min_iou_score(min_iou_score)
        self.pipeline = Compose(build_test_transforms(model.cfg))

    def __call__(
        self,
        inputs: ImageSource | Sequence[ImageSource],
        task: Task | str = Task.PANOPTIC,
        *,
        points: Any = None,
        point_labels: Any = None,
        boxes: Any = None,
        masks: Any = None,
        texts: Sequence[str | None] | None = None,
        batch_size: int = 1,
        on_error: Literal['raise', 'skip'] = 'raise',
    ) -> Iterator[InferenceResult]:
        """Segment images one batch after the other.

        Args:
            inputs: A file, a folder (its images in the order of their names, subfolders left
                out), an array (H, W, 3) uint8 RGB, or a list of files and arrays.
            task: ``'panoptic'`` or ``'interactive_image'``.
            points: Clicks (x, y) in pixels of the image, (N, P, 2), for every image.
            point_labels: 1 foreground, 0 background, -1 padding, (N, P); all foreground by
                default.
            boxes: xyxy in pixels of the image, (N, 4).
            masks: At the size of the image, (N, H, W), bool or probabilities.
            texts: N phrases. Kinds combine, see :func:`~seg.apis.prompt_input.make_prompts`.
            batch_size: Images per step.
            on_error: What an unreadable file does: ``'raise'`` its error, or ``'skip'`` the file
                with a warning.

        Yields:
            One result per image.

        Raises:
            FileNotFoundError: If a file or folder is missing.
            UserError: If an image, a setting or a prompt is wrong.
        """
        task = Task.parse(task)
        prompts = make_prompts(points, point_labels, boxes=boxes, masks=masks, texts=texts)
        self._check_request(task, prompts, batch_size, on_error)
        sources = list_sources(inputs)
        return self._run(_read_all(sources, prompts, on_error), task, batch_size)

    def predict(self, images: Sequence[ImageInput], task: Task | str) -> list[InferenceResult]:
        """Segment a batch of images, each with its own prompts.

        Raises:
            UserError: If a prompt is missing, outside its image or of a kind that the model does
                not know.
        """
        task = Task.parse(task)
        packed = [self._pack(item, index, task) for index, item in enumerate(images)]
        batch = {
            'inputs': [item['inputs'] for item in packed],
            'data_samples': [item['data_samples'] for item in packed],
        }
        with torch.no_grad():
            samples = self.model.test_step(batch)
        if task.is_prompted:
            for sample in samples:
                drop_poor_masks(sample, self.min_iou_score)
        return [
            InferenceResult(item.path, item.image, item.prompts, sample.to('cpu'))
            for item, sample in zip(images, samples, strict=True)
        ]

    def _run(
        self, images: Iterable[ImageInput], task: Task, batch_size: int
    ) -> Iterator[InferenceResult]:
        remaining = iter(images)
        while batch := list(itertools.islice(remaining, batch_size)):
            yield from self.predict(batch, task)

    def _pack(self, item: ImageInput, index: int, task: Task) -> dict[str, Any]:
        image = Upload(item.image, device_of(self.model))
        if task.is_prompted:
            if item.prompts is None:
                raise UserError(_needs_prompts(task))
            height, width = item.image.shape[:2]
            check_prompts(
                item.prompts, (height, width), self.model.prompt_kinds, self.model.prompt_refusals
            )
        return pack_image(
            self.pipeline,
            image,
            task,
            img_id=index,
            img_path=None if item.path is None else str(item.path),
            prompts=item.prompts if task.is_prompted else None,
        )

    def _check_request(
        self, task: Task, prompts: Prompts | None, batch_size: int, on_error: str
    ) -> None:
        entry = self.model.entry
        if entry is not None and task not in entry.tasks:
            names = ', '.join(known.value for known in entry.tasks)
            raise UserError(f'task: expected one that {entry.name} knows ({names}), got {task}')
        if task in (Task.VOS, Task.INTERACTIVE_VIDEO):
            raise UserError(
                f'task: expected a task on images (panoptic, interactive_image), got {task}'
            )
        if task.is_prompted and prompts is None:
            raise UserError(_needs_prompts(task))
        if not task.is_prompted and prompts is not None:
            raise UserError(
                f'prompts: expected none for the task {task}, got some; use the task '
                'interactive_image'
            )
        if batch_size < 1:
            raise UserError(f'batch_size: expected at least 1, got {batch_size}')
        if on_error not in ('raise', 'skip'):
            raise UserError(unknown_name_message('on_error', on_error, ('raise', 'skip')))


def _read_all(
    sources: Sequence[Path | np.ndarray], prompts: Prompts | None, on_error: str
) -> Iterator[ImageInput]:
    for source in sources:
        if isinstance(source, np.ndarray):
            yield ImageInput(source, None, prompts)
            continue
        try:
            image = read_image(source, exif=True)
        except (UserError, OSError) as error:
            if on_error == 'raise':
                raise
            _logger.warning('skipped: %s', error)
            continue
        yield ImageInput(image, source, prompts)


def _needs_prompts(task: Task) -> str:
    return (
        f'prompts: expected points, boxes, masks or texts for the task {task}, got none; give '
        'points=[[[x, y]]] (in the demo: --point x,y)'
    )
