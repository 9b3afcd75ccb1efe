"""A model as annotation uses it: one for all sessions, which take turns."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from seg.apis.annotation.run_lengths import decode_mask
from seg.apis.annotation.state import FramePrompts
from seg.apis.image_predictor import FoundInstances, ImagePredictor
from seg.apis.inferencer import ImageInput, Inferencer
from seg.apis.video_models import has_memory
from seg.apis.video_predictor import VideoPredictor
from seg.apis.video_session import VideoSession
from seg.structures import Task
from seg.utils.checks import UserError


@dataclass(frozen=True)
class Answer:
    """The mask of one object on one frame, (H, W), bool, and how sure the model is."""

    mask: np.ndarray
    score: float


@dataclass(frozen=True)
class NamedMask:
    """A segment with the name of its class: its mask, (H, W), bool, and how sure the model is."""

    label: str
    mask: np.ndarray
    score: float


@dataclass(frozen=True)
class Given:
    """What an object looks like on a frame, as a person left it.

    Attributes:
        mask: (H, W), bool.
        prompts: What it was made from, if anything.
    """

    mask: np.ndarray
    prompts: FramePrompts | None


class AnnotationModel:
    """What annotation asks of a model; any that answers prompts.

    Args:
        model: From :func:`~seg.apis.load_model`.
        name: What it is called on the page and in files.

    Raises:
        UserError: If the model does not answer prompts.
    """

    def __init__(self, model: Any, name: str = 'model') -> None:
        self.model, self.name = model, name
        self.lock = threading.Lock()
        self._images = ImagePredictor(model)
        self._videos = VideoPredictor(model) if has_memory(model) else None

    @property
    def prompt_kinds(self) -> frozenset[str]:
        """Which kinds of prompts it knows."""
        return frozenset(self.model.prompt_kinds)

    @property
    def follows(self) -> bool:
        """Whether it follows objects through videos."""
        return self._videos is not None

    @property
    def finds(self) -> bool:
        """Whether it finds all instances of a phrase."""
        from seg.models.detectors import Sam3Segmentor

        return isinstance(self.model, Sam3Segmentor)

    @property
    def names_everything(self) -> bool:
        """Whether it finds all that it knows a class for, without a prompt (panoptic)."""
        from seg.models.detectors import RapSAM

        entry = self.model.entry
        return isinstance(self.model, RapSAM) and (entry is None or Task.PANOPTIC in entry.tasks)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its classes, offered as labels."""
        return tuple(self.model.dataset_meta['classes'])

    def view(self) -> FrameView:
        """A place that holds the features of one frame; one for every session."""
        return FrameView(self)

    def follower(self, size: tuple[int, int], task: Task) -> Follower:
        """Begin to follow objects.

        Args:
            size: (H, W) of all frames.
            task: ``vos`` or ``interactive_video``.

        Raises:
            UserError: If the model has no memory.
        """
        if self._videos is None:
            raise UserError(
                f'propagate: expected a model with a memory, got {self.name}, which sees one image '
                'at a time; choose one that follows objects, or annotate frame by frame'
            )
        with self.lock:
            session = self._videos.start(*size, task=task)
        return Follower(self, session)


class FrameView:
    """Answers prompts on the frame that was asked about last without encoding it again.

    Args:
        owner: The model.
    """

    def __init__(self, owner: AnnotationModel) -> None:
        self.owner = owner
        self._predictor: ImagePredictor | None = None
        self._key: Any = None

    def segment(self, key: Any, image: np.ndarray, prompts: FramePrompts) -> Answer:
        """The mask that prompts ask for.

        Args:
            key: Names the frame; features are kept as long as it stays the same.
            image: (H, W, 3), uint8, RGB.
            prompts: Not empty.

        Raises:
            UserError: If a prompt is outside the frame, or of a kind that the model does not know.
        """
        size = image.shape[0], image.shape[1]
        with self.owner.lock:
            predictor = self._look_at(key, image)
            given: dict[str, Any] = {}
            if prompts.clicks:
                given['points'] = [[[click.x, click.y] for click in prompts.clicks]]
                given['point_labels'] = [[int(click.positive) for click in prompts.clicks]]
            if prompts.box is not None:
                given['boxes'] = [prompts.box]
            if prompts.text is not None:
                given['texts'] = [prompts.text]
            if prompts.before is not None and 'mask' in self.owner.prompt_kinds:
                before = decode_mask(prompts.before.counts, size)
                if before.any():
                    given['previous_logits'] = predictor.logits_of_mask(before)
            result = predictor.predict(**given)
        return Answer(result.masks[0, 0], round(float(result.iou_scores[0, 0]), 4))

    def find(
        self,
        key: Any,
        image: np.ndarray,
        text: str | None,
        box: tuple[float, float, float, float] | None,
    ) -> FoundInstances:
        """All instances of a phrase, or of what a box shows.

        Raises:
            UserError: If the model cannot find, or a prompt is wrong.
        """
        with self.owner.lock:
            predictor = self._look_at(key, image)
            return predictor.find([text], None if box is None else [box])

    def everything(self, image: np.ndarray) -> list[NamedMask]:
        """All segments of a frame, things first, the surest of each first.

        Args:
            image: (H, W, 3), uint8, RGB.

        Raises:
            UserError: If the model does not know classes.
        """
        if not self.owner.names_everything:
            raise UserError(
                f'everything: expected a model that knows classes, got {self.owner.name}, which '
                'answers prompts only; choose another model, or click'
            )
        with self.owner.lock:
            (result,) = Inferencer(self.owner.model).predict([ImageInput(image)], Task.PANOPTIC)
        panoptic, names = result.panoptic, self.owner.classes
        segment_map = panoptic.segment_map[0].numpy()
        return [
            NamedMask(names[segment.label], segment_map == segment.id, round(segment.score, 4))
            for segment in sorted(panoptic.segments, key=lambda one: (not one.is_thing, -one.score))
        ]

    def release(self) -> None:
        """Free the features."""
        self._predictor, self._key = None, None

    def _look_at(self, key: Any, image: np.ndarray) -> ImagePredictor:
        if self._predictor is None:
            self._predictor, self._key = ImagePredictor(self.owner.model), None
        if self._key != key:
            self._key = None
            self._predictor.set_image(image)
            self._key = key
        return self._predictor


class Follower:
    """Follows objects frame by frame.

    Args:
        owner: The model.
        session: The memory of the objects.
    """

    def __init__(self, owner: AnnotationModel, session: VideoSession) -> None:
        self.owner, self.session = owner, session

    def step(self, image: np.ndarray, given: Mapping[int, Given]) -> dict[int, Answer]:
        """Answer the next frame.

        Args:
            image: (H, W, 3), uint8, RGB.
            given: What is known about objects on it, by id; new ids are new objects.

        Returns:
            The mask of every object so far, by id; empty for those out of sight.

        Raises:
            UserError: If the model knows neither masks nor the prompts that they were made from.
        """
        with self.owner.lock:
            for object_id, known in given.items():
                self.session.add_prompts(object_id, **self._prompts_of(known))
            result = self.session.step(image)
        ids = result.object_ids.tolist()
        return {
            object_id: Answer(result.masks[row], round(float(result.scores[row]), 4))
            for row, object_id in enumerate(ids)
        }

    def skip(self) -> None:
        """Let a frame go by that cannot be read."""
        self.session.skip_frame()

    def drop(self, object_id: int) -> None:
        """Follow an object no longer."""
        if object_id in self.session.object_ids:
            self.session.remove_object(object_id)

    def _prompts_of(self, known: Given) -> dict[str, Any]:
        """Arguments of ``add_prompts``: the mask, where the model takes masks."""
        if 'mask' in self.owner.prompt_kinds:
            return {'mask': known.mask}
        prompts = known.prompts
        if prompts is None:
            raise UserError(
                f'propagate: expected masks made from prompts, got a mask of another origin; '
                f'{self.owner.name} takes no masks, click on the object first'
            )
        clicks = prompts.clicks
        return {
            'points': [[click.x, click.y] for click in clicks] or None,
            'point_labels': [int(click.positive) for click in clicks] or None,
            'box': prompts.box,
            'text': prompts.text,
        }
