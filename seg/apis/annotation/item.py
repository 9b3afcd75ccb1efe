"""One image or video under annotation: objects, prompts on any frame, undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from seg.apis.annotation.arguments import (
    checked_box,
    checked_number,
    checked_place,
    checked_text,
)
from seg.apis.annotation.history import History
from seg.apis.annotation.media import Media
from seg.apis.annotation.model import FrameView, NamedMask
from seg.apis.annotation.run_lengths import decode_mask, encode_mask
from seg.apis.annotation.state import (
    AnnotatedObject,
    Click,
    FrameMask,
    FramePrompts,
    ItemState,
    Origin,
)
from seg.evaluation.functional.clicks import mask_iou
from seg.utils.checks import UserError

MAX_OBJECTS = 200
MAX_CLICKS = 64


@dataclass(frozen=True)
class Timeline:
    """Frames by what is on them, sorted.

    Attributes:
        prompted: Where an object was first said something about.
        corrected: Where prompts changed a mask that was there already.
        followed: Where objects were followed to.
    """

    prompted: list[int]
    corrected: list[int]
    followed: list[int]


class AnnotatedItem:
    """One image or video of a session.

    Every change is one step of undo. A call that is refused changes nothing.

    Args:
        item_id: Unique in its session.
        media: Its frames.
        view: Answers prompts; shared by the items of a session.
        state: What is known already.
        on_change: Called after every change.
    """

    def __init__(
        self,
        item_id: str,
        media: Media,
        view: Callable[[], FrameView],
        state: ItemState | None = None,
        on_change: Callable[[AnnotatedItem], None] = lambda item: None,
    ) -> None:
        self.item_id, self.media = item_id, media
        self.history = History(state or ItemState())
        self._view, self._on_change = view, on_change
        self.running = False

    @property
    def state(self) -> ItemState:
        """All objects as they are now."""
        return self.history.state

    @property
    def objects(self) -> list[AnnotatedObject]:
        """In the order they were added."""
        return list(self.state.objects.values())

    def object(self, object_id: int) -> AnnotatedObject:
        """An object by its id.

        Raises:
            UserError: If there is none.
        """
        if object_id not in self.state.objects:
            known = ', '.join(map(str, self.state.objects)) or 'none'
            raise UserError(f'object {object_id}: expected one of this item (known: {known})')
        return self.state.objects[object_id]

    def mask(self, object_id: int, frame: int = 0) -> np.ndarray | None:
        """The mask on a frame, (H, W), bool; ``None`` where nothing is known.

        Raises:
            UserError: If there is no such object or frame.
        """
        self.check_frame(frame)
        known = self.object(object_id).masks.get(frame)
        return None if known is None else decode_mask(known.counts, self.media.size)

    def timeline(self) -> Timeline:
        """Which frames were prompted, corrected and followed to."""
        prompted: set[int] = set()
        corrected: set[int] = set()
        followed: set[int] = set()
        for one in self.objects:
            for frame, prompts in one.prompts.items():
                (prompted if prompts.before is None else corrected).add(frame)
            followed |= {frame for frame, mask in one.masks.items() if not mask.origin.is_given}
        return Timeline(sorted(prompted), sorted(corrected), sorted(followed))

    # Objects.

    def add_object(self, label: str = 'object') -> int:
        """Add an object about which nothing is said yet; returns its id.

        Raises:
            UserError: If the label is no short text, or there are too many objects.
        """
        new = self._new_object(self.state, label)
        self._set(self.state.with_object(new))
        return new.object_id

    def relabel(self, object_id: int, label: str) -> None:
        """Name the class of an object.

        Raises:
            UserError: If there is no such object, or the label is no short text.
        """
        self._change(replace(self.object(object_id), label=checked_text(label, 'label')))

    def accept(self, object_id: int, accepted: bool = True) -> None:
        """Call an object done, or not.

        Raises:
            UserError: If there is no such object.
        """
        self._change(replace(self.object(object_id), accepted=bool(accepted)))

    def hide(self, object_id: int, hidden: bool = True) -> None:
        """Show an object or not; what is hidden is still exported.

        Raises:
            UserError: If there is no such object.
        """
        self._change(replace(self.object(object_id), hidden=bool(hidden)))

    def delete_object(self, object_id: int) -> None:
        """Delete an object with all its masks.

        Raises:
            UserError: If there is no such object.
        """
        self.object(object_id)
        self._set(self.state.without_object(object_id))

    def add_prompted(self, label: str, ask: Callable[[int], None]) -> int:
        """Add an object together with its first prompt, as one step; returns its id.

        Args:
            label: Of the object.
            ask: Prompts the object whose id it is given; if it is refused, nothing is added.

        Raises:
            UserError: As :meth:`add_object` and ``ask``.
        """
        self._check_idle()
        new = self._new_object(self.state, label)
        before = self.history.copy()
        self.history.push(self.state.with_object(new))
        try:
            ask(new.object_id)
        except UserError:
            self.history = before
            raise
        self.history.join()
        return new.object_id

    # Prompts.

    def add_click(
        self, object_id: int, x: float, y: float, positive: bool = True, frame: int = 0
    ) -> None:
        """Click on an object, or beside it, and answer anew.

        Raises:
            UserError: If the point is outside the frame, there is no such object or frame, or the
                model does not know such prompts.
        """
        said = self._said(object_id, frame)
        if len(said.clicks) >= MAX_CLICKS:
            raise UserError(f'clicks: expected at most {MAX_CLICKS} on a frame, got more')
        click = Click(checked_number(x, 'x'), checked_number(y, 'y'), bool(positive))
        self._ask(object_id, frame, replace(said, clicks=(*said.clicks, click)))

    def move_click(self, object_id: int, index: int, x: float, y: float, frame: int = 0) -> None:
        """Move a click, the ``index``-th from 0 on.

        Raises:
            UserError: As :meth:`add_click`, or if there is no such click.
        """
        said = self._said(object_id, frame)
        clicks = list(said.clicks)
        old = clicks[checked_place(index, clicks)]
        clicks[index] = Click(checked_number(x, 'x'), checked_number(y, 'y'), old.positive)
        self._ask(object_id, frame, replace(said, clicks=tuple(clicks)))

    def remove_click(self, object_id: int, index: int, frame: int = 0) -> None:
        """Take a click back.

        Raises:
            UserError: As :meth:`move_click`.
        """
        said = self._said(object_id, frame)
        clicks = list(said.clicks)
        del clicks[checked_place(index, clicks)]
        self._ask(object_id, frame, replace(said, clicks=tuple(clicks)))

    def set_box(self, object_id: int, box: Sequence[float] | None, frame: int = 0) -> None:
        """Draw a box xyxy around an object, in pixels, or take it away with ``None``.

        Raises:
            UserError: As :meth:`add_click`, or if the box is empty.
        """
        said = self._said(object_id, frame)
        self._ask(object_id, frame, replace(said, box=None if box is None else checked_box(box)))

    def set_text(self, object_id: int, text: str | None, frame: int = 0) -> None:
        """Name an object in words, or take them away with ``None``.

        Raises:
            UserError: As :meth:`add_click`, or if the text is empty or long.
        """
        said = self._said(object_id, frame)
        words = None if text is None else checked_text(text, 'text')
        self._ask(object_id, frame, replace(said, text=words))

    def set_mask(self, object_id: int, mask: np.ndarray | None, frame: int = 0) -> None:
        """Give the mask itself (H, W), bool; ``None`` says that the object is not on the frame.

        Raises:
            UserError: If the size is not the frame's, or there is no such object or frame.
        """
        one = self.object(object_id)
        self.check_frame(frame)
        height, width = self.media.size
        drawn = np.zeros((height, width), bool) if mask is None else np.asarray(mask)
        if drawn.shape != (height, width) or drawn.dtype != bool:
            raise UserError(
                f'mask: expected bool of shape {(height, width)}, got {drawn.dtype} of '
                f'{drawn.shape}'
            )
        self._change(one.with_answer(frame, None, FrameMask(encode_mask(drawn), Origin.FILE)))

    def clear_frame(self, object_id: int, frame: int = 0) -> None:
        """Forget the mask and the prompts of an object on a frame.

        Raises:
            UserError: If there is no such object or frame.
        """
        self.check_frame(frame)
        self._change(self.object(object_id).with_answer(frame, None, None))

    def find(
        self,
        text: str | None = None,
        box: Sequence[float] | None = None,
        frame: int = 0,
        label: str | None = None,
    ) -> list[int]:
        """Add an object for every instance of a phrase, or of what a box shows; returns their ids.

        What an object of the same label covers already, by half of both together, is not added
        again.

        Raises:
            UserError: If the model cannot find, or a prompt is wrong.
        """
        words = None if text is None else checked_text(text, 'text')
        example = None if box is None else checked_box(box)
        if words is None and example is None:
            raise UserError('find: expected a text or a box, got neither')
        self.check_frame(frame)
        image = self.media.read(frame)
        found = self._view().find((self.item_id, frame), image, words, example)
        called = label or words or 'object'
        return self._add_found(
            [
                NamedMask(called, mask, float(score))
                for mask, score in zip(found.masks, found.scores, strict=True)
            ],
            [one for one in self.objects if one.label == called],
            frame,
        )

    def find_everything(self, frame: int = 0) -> list[int]:
        """Add an object for every segment that the model finds, named by its class.

        What an object of the frame covers already, by half of both together, is not added again.

        Returns:
            The new ids, things first.

        Raises:
            UserError: If the model does not know classes, or there would be too many objects.
        """
        self.check_frame(frame)
        found = self._view().everything(self.media.read(frame))
        return self._add_found(found, self.objects, frame)

    # Going back and forth.

    def undo(self) -> None:
        """Take the last change back.

        Raises:
            UserError: If there is none, or objects are being followed.
        """
        self._check_idle()
        self.history.undo()
        self._on_change(self)

    def redo(self) -> None:
        """Make the change again that was taken back.

        Raises:
            UserError: If there is none, or objects are being followed.
        """
        self._check_idle()
        self.history.redo()
        self._on_change(self)

    def replace_state(self, state: ItemState, cost: int = 1) -> None:
        """Make many changes as one step, such as an import."""
        self._set(state, cost)

    def tell_change(self) -> None:
        """Tell of changes that were made in the history itself, as following does."""
        self._on_change(self)

    def check_frame(self, frame: int) -> None:
        """Refuse what is no frame of this item.

        Raises:
            UserError: If there is none with that number.
        """
        whole = isinstance(frame, int) and not isinstance(frame, bool)
        if not whole or not 0 <= frame < self.media.num_frames:
            raise UserError(
                f'frame: expected a number from 0 to {self.media.num_frames - 1}, got {frame!r}'
            )

    def _check_idle(self) -> None:
        if self.running:
            raise UserError('objects are being followed: expected them to be done; stop that first')

    def _new_object(self, state: ItemState, label: str) -> AnnotatedObject:
        if len(state.objects) >= MAX_OBJECTS:
            raise UserError(f'objects: expected at most {MAX_OBJECTS} in one item, got more')
        return AnnotatedObject(state.next_id, checked_text(label, 'label'))

    def _add_found(
        self, found: Sequence[NamedMask], known: Sequence[AnnotatedObject], frame: int
    ) -> list[int]:
        """Add objects as one step, without those that known ones cover; returns their ids."""
        covered = [mask for one in known if (mask := self.mask(one.object_id, frame)) is not None]
        state, before = self.state, set(self.state.objects)
        for one in found:
            if any(mask_iou(one.mask, mask) >= 0.5 for mask in covered):
                continue
            answer = FrameMask(encode_mask(one.mask), Origin.FILE, one.score)
            new = self._new_object(state, one.label)
            state = state.with_object(new.with_answer(frame, None, answer))
        ids = [key for key in state.objects if key not in before]
        if ids:
            self._set(state, len(ids))
        return ids

    def _said(self, object_id: int, frame: int) -> FramePrompts:
        """What was said on a frame so far; the first prompts there correct the mask there is."""
        one = self.object(object_id)
        self.check_frame(frame)
        return one.prompts.get(frame) or FramePrompts(before=one.masks.get(frame))

    def _ask(self, object_id: int, frame: int, prompts: FramePrompts) -> None:
        """Answer prompts; without any, what was there before them is there again."""
        self._check_idle()
        one = self.object(object_id)
        if prompts.is_empty:
            self._change(one.with_answer(frame, None, prompts.before))
            return
        image = self.media.read(frame)
        answer = self._view().segment((self.item_id, frame), image, prompts)
        mask = FrameMask(encode_mask(answer.mask), Origin.PROMPT, answer.score)
        self._change(one.with_answer(frame, prompts, mask))

    def _change(self, changed: AnnotatedObject) -> None:
        self._set(self.state.with_object(changed))

    def _set(self, state: ItemState, cost: int = 1) -> None:
        self._check_idle()
        self.history.push(state, cost)
        self._on_change(self)
