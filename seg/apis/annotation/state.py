"""What is known about the objects of one image or video: immutable, so undoing is keeping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from types import MappingProxyType
from typing import Any

FORWARD, BACKWARD = 1, -1
"""Directions in which objects are followed."""


class Origin(str, Enum):
    """Where a mask comes from."""

    PROMPT = 'prompt'
    FORWARD = 'forward'
    BACKWARD = 'backward'
    FILE = 'file'

    @property
    def is_given(self) -> bool:
        """Whether a person stands behind it, rather than the memory of the model."""
        return self in (Origin.PROMPT, Origin.FILE)


def followed_origin(direction: int) -> Origin:
    """The origin of masks that were followed in a direction."""
    return Origin.FORWARD if direction == FORWARD else Origin.BACKWARD


@dataclass(frozen=True)
class Click:
    """A point in pixels of the frame, on the object or beside it."""

    x: float
    y: float
    positive: bool = True


@dataclass(frozen=True)
class FrameMask:
    """The mask of an object on one frame.

    Attributes:
        counts: COCO's text of run lengths, at the size of the frame.
        origin: Where it comes from.
        score: How sure the model is, in [0, 1].
    """

    counts: str
    origin: Origin
    score: float = 1.0


@dataclass(frozen=True)
class FramePrompts:
    """What was said about an object on one frame.

    Attributes:
        clicks: In the order they were made.
        box: xyxy, pixels.
        text: A phrase.
        before: The mask that these prompts correct; ``None`` where there was none.
    """

    clicks: tuple[Click, ...] = ()
    box: tuple[float, float, float, float] | None = None
    text: str | None = None
    before: FrameMask | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing is said."""
        return not self.clicks and self.box is None and self.text is None


def _nothing() -> Mapping[int, Any]:
    return MappingProxyType({})


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of an image or video.

    Attributes:
        object_id: From 1 on, unique in its item.
        label: Name of its class.
        accepted: Whether a person called it done.
        hidden: Whether it is not shown.
        prompts: By frame.
        masks: By frame; an empty mask says that the object is not in sight.
        changed: Frames, with a direction, whose masks were changed since objects were followed from
            them.
    """

    object_id: int
    label: str
    accepted: bool = False
    hidden: bool = False
    prompts: Mapping[int, FramePrompts] = field(default_factory=_nothing)
    masks: Mapping[int, FrameMask] = field(default_factory=_nothing)
    changed: frozenset[tuple[int, int]] = frozenset()

    def with_answer(
        self, frame: int, prompts: FramePrompts | None, mask: FrameMask | None
    ) -> AnnotatedObject:
        """The object with other prompts and another mask on a frame, which has changed thereby."""
        return replace(
            self,
            prompts=_with_entry(self.prompts, frame, prompts),
            masks=_with_entry(self.masks, frame, mask),
            changed=self.changed | {(frame, FORWARD), (frame, BACKWARD)},
        )

    def is_anchor(self, frame: int) -> bool:
        """Whether a person said what the object looks like on the frame."""
        mask = self.masks.get(frame)
        return mask is not None and mask.origin.is_given


@dataclass(frozen=True)
class ItemState:
    """All objects of one image or video, by id.

    Attributes:
        objects: In the order they were added.
        next_id: Of the next object; ids are not used again.
    """

    objects: Mapping[int, AnnotatedObject] = field(default_factory=_nothing)
    next_id: int = 1

    def with_object(self, changed: AnnotatedObject) -> ItemState:
        """The state with an object added or changed."""
        objects = {**self.objects, changed.object_id: changed}
        return ItemState(objects, max(self.next_id, changed.object_id + 1))

    def without_object(self, object_id: int) -> ItemState:
        """The state without an object."""
        kept = {key: value for key, value in self.objects.items() if key != object_id}
        return replace(self, objects=kept)


def _with_entry(entries: Mapping[int, Any], key: int, value: Any) -> Mapping[int, Any]:
    """A copy with one entry set, or removed for ``None``."""
    changed = dict(entries)
    if value is None:
        changed.pop(key, None)
    else:
        changed[key] = value
    return changed
