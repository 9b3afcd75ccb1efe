"""A stand-in for models that annotate: clicks answer squares, objects stay where they are."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from seg.apis.annotation.model import (
    AnnotationModel,
    Answer,
    Follower,
    FrameView,
    Given,
    NamedMask,
)
from seg.apis.image_predictor import FoundInstances
from seg.structures import Task
from seg.testing.fake_segmentor import ALL_PROMPT_KINDS, FakeSegmentor


class FakeAnnotationModel(AnnotationModel):
    """A :class:`FakeSegmentor` that follows objects by moving their masks to the right.

    Args:
        name: What it is called.
        prompt_kinds: What it says it understands.
        shift: Pixels per frame.
        finds: Whether it finds all instances of a phrase.
    """

    def __init__(
        self,
        name: str = 'fake',
        prompt_kinds: Collection[str] = ALL_PROMPT_KINDS,
        shift: int = 1,
        finds: bool = False,
    ) -> None:
        super().__init__(FakeSegmentor(prompt_kinds=prompt_kinds), name)
        self.shift, self._finds = shift, finds
        self.steps: list[list[int]] = []

    @property
    def follows(self) -> bool:
        """It does."""
        return True

    @property
    def finds(self) -> bool:
        """As it was told."""
        return self._finds

    @property
    def names_everything(self) -> bool:
        """It does."""
        return True

    def view(self) -> FrameView:
        """What names two squares."""
        return FakeView(self)

    def follower(self, size: tuple[int, int], task: Task) -> Follower:
        """What moves masks."""
        return FakeFollower(self)


class FakeView(FrameView):
    """Finds a star at the top left and grass below everything, and two squares for any phrase."""

    def find(
        self,
        key: Any,
        image: np.ndarray,
        text: str | None,
        box: tuple[float, float, float, float] | None,
    ) -> FoundInstances:
        """The squares."""
        if not self.owner.finds:
            return super().find(key, image, text, box)
        masks = np.zeros((2, *image.shape[:2]), dtype=bool)
        masks[0, 2:12, 2:12] = masks[1, 2:12, 22:32] = True
        boxes = np.array([[2, 2, 12, 12], [22, 2, 32, 12]], dtype=np.float32)
        return FoundInstances(
            masks, np.array([0.9, 0.8], dtype=np.float32), boxes, np.zeros(2, int)
        )

    def everything(self, image: np.ndarray) -> list[NamedMask]:
        """The two of them."""
        star, grass = (np.zeros(image.shape[:2], dtype=bool) for _ in range(2))
        star[2:12, 2:12] = True
        grass[-8:] = True
        return [NamedMask('star', star, 0.9), NamedMask('grass', grass, 0.8)]


class FakeFollower(Follower):
    """Moves the masks that it was given; which objects it moved is noted in ``owner.steps``.

    Args:
        owner: The model.
    """

    def __init__(self, owner: FakeAnnotationModel) -> None:
        self.fake = owner
        self.masks: dict[int, np.ndarray] = {}

    def step(self, image: np.ndarray, given: Mapping[int, Given]) -> dict[int, Answer]:
        """Move all masks one step."""
        self.masks = {key: np.roll(mask, self.fake.shift, 1) for key, mask in self.masks.items()}
        self.masks.update({key: known.mask for key, known in given.items()})
        self.fake.steps.append(sorted(self.masks))
        return {key: Answer(mask, 0.9) for key, mask in self.masks.items()}

    def skip(self) -> None:
        """Move nothing."""

    def drop(self, object_id: int) -> None:
        """Forget an object."""
        self.masks.pop(object_id, None)


def fake_video(num_frames: int = 6, size: tuple[int, int] = (40, 60)) -> Any:
    """Noise, (T, H, W, 3), uint8."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (num_frames, *size, 3), dtype=np.uint8)
