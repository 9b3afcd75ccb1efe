"""A video that is followed frame by frame, with prompts on any frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seg.apis.frame_packing import prompts_on_canvas
from seg.apis.frame_result import FrameResult, PendingResult, begin_result
from seg.apis.image_sources import check_image
from seg.apis.overlapped import Upload
from seg.apis.prompt_checks import check_prompts
from seg.apis.prompt_input import make_prompts
from seg.apis.session_files import PendingPrompts, SavedSession, read_session, write_session
from seg.models.heads.clicks_in_turn import frame_prompts_in_turn
from seg.models.heads.clip_frame import Frame
from seg.models.heads.clip_step import ClipStep
from seg.models.memory import MemoryState
from seg.structures import ClipSample, Prompts, Task
from seg.utils.checks import UserError

if TYPE_CHECKING:
    from seg.apis.video_predictor import VideoPredictor


_LARGEST = 2**31 - 1


class _Question(NamedTuple):
    """What is asked about a frame."""

    image: np.ndarray
    frame: Frame
    sample: ClipSample
    before: MemoryState
    rows: dict[int, Prompts]  # what was said about objects on it


class _LastFrame(NamedTuple):
    """What a correction of the last frame starts from."""

    question: _Question
    logits: Tensor  # (N, h, w)
    answered: Tensor  # which objects they are answers about, (N,), bool


class VideoSession:
    """One video. Made by :meth:`VideoPredictor.start` or :meth:`VideoPredictor.load`.

    Its size does not grow with the number of frames. A call that is refused changes nothing.

    Args:
        predictor: What answers.
        size: (H, W) of all frames.
        task: ``interactive_video``, or ``vos`` where masks are exact and objects never overlap.
    """

    def __init__(self, predictor: VideoPredictor, size: tuple[int, int], task: Task) -> None:
        self.predictor = predictor
        self.size = size
        self.task = task
        self.frame_index = 0
        self._pending: PendingPrompts = {}
        self._state: MemoryState | None = None
        self._last: _LastFrame | None = None

    def is_prompted(self, frame_index: int) -> bool:
        """Whether something was said about a frame to come."""
        return frame_index in self._pending

    @property
    def object_ids(self) -> list[int]:
        """All objects, those whose prompts are yet to come included."""
        known = [] if self._state is None else self._state.object_ids.tolist()
        later = {i for rows in self._pending.values() for i in rows}
        return [*known, *sorted(later - set(known))]

    @property
    def doubted_ids(self) -> list[int]:
        """Objects that memory was unsure of on the last frame, and that were found anew there."""
        if self._state is None:
            return []
        return self._state.object_ids[self._state.doubted].tolist()

    @property
    def _has_objects(self) -> bool:
        """Whether there are any, known without waiting for the device."""
        known = self._state is not None and self._state.num_objects > 0
        return known or any(self._pending.values())

    def add_prompts(
        self,
        object_id: int,
        points: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask: Any = None,
        text: str | None = None,
        *,
        frame_index: int | None = None,
    ) -> None:
        """Say something about an object on a frame to come; a new id is a new object.

        Args:
            object_id: Any whole number from 1 to 2,147,483,647.
            points: (x, y), (P, 2), pixels of the frame.
            point_labels: 1 on the object, 0 beside it, (P,); all 1 by default.
            box: xyxy, (4,).
            mask: (H, W), bool or probabilities.
            text: A phrase.
            frame_index: The next frame by default.

        Raises:
            UserError: If nothing is said, a prompt is wrong or of a kind that the model does not
                know, or the frame has gone by.
        """
        frame = self.frame_index
        if frame_index is not None:
            frame = _whole_number('frame_index', frame_index, 0)
        if frame < self.frame_index:
            raise UserError(
                f'frame_index {frame}: expected the next frame, {self.frame_index}, or a later '
                'one; correct the last frame with correct(), or go backwards with propagate('
                'backward=True)'
            )
        said = dict(points=points, point_labels=point_labels, box=box, mask=mask, text=text)
        self._expect([(frame, self._row(object_id, said))])

    def add_rows(self, prompts: Prompts) -> None:
        """As :meth:`add_prompts` for many rows at once, each on its frame.

        Args:
            prompts: In pixels of the frame.

        Raises:
            UserError: As :meth:`add_prompts`; then none is added.
        """
        check_prompts(prompts, self.size, *self.predictor.known_prompts)
        for object_id in prompts.object_ids.tolist():
            _whole_number('object_ids', object_id, 1)
        if len(prompts) and int(prompts.frame_index.min()) < self.frame_index:
            raise UserError(
                f'frame_index {int(prompts.frame_index.min())}: expected {self.frame_index} or a '
                'later frame'
            )
        rows = []
        for i in range(len(prompts)):
            row = prompts[[i]]
            frame = int(row.frame_index)
            rows.append((frame, replace(row, frame_index=torch.zeros(1, dtype=torch.int64))))
        self._expect(rows)

    def _expect(self, rows: Sequence[tuple[int, Prompts]]) -> None:
        """Keep rows for frames to come, all or none."""
        pending = {frame: dict(said) for frame, said in self._pending.items()}
        for frame, row in rows:
            object_id, said = int(row.object_ids), pending.setdefault(frame, {})
            if not bool(row.is_valid):
                raise _says_nothing(object_id)
            whole = said[object_id].with_more(row) if object_id in said else row
            check_prompts(whole, self.size, *self.predictor.known_prompts)
            said[object_id] = whole
        self._pending = pending

    def correct(
        self,
        object_id: int,
        points: Any = None,
        point_labels: Any = None,
        box: Any = None,
        mask: Any = None,
        text: str | None = None,
    ) -> FrameResult:
        """Say something about an object on the last frame, which is answered anew.

        Clicks mend the mask that was answered. Arguments as in :meth:`add_prompts`; a new object
        can be added this way too.

        Raises:
            UserError: As :meth:`add_prompts`; if there was no frame yet, or the session was just
                loaded, so that its last frame is not at hand.
        """
        if self._last is None or self._state is None:
            raise UserError(
                'correct: expected a frame that was answered, got none; call step first, or give '
                'the prompts to add_prompts'
            )
        said = dict(points=points, point_labels=point_labels, box=box, mask=mask, text=text)
        row, last = self._row(object_id, said), self._last
        object_id = int(row.object_ids)
        rows = last.question.rows
        if object_id in rows:
            row = _without_mask(rows[object_id]).with_more(row)
        if object_id in self._state.object_ids.tolist() and mask is None:
            slot = self._state.slot(object_id)
            if bool(last.answered[slot]):
                row = replace(row, previous_logits=last.logits[slot].cpu()[None, None])
        question = last.question._replace(rows={**rows, object_id: row})
        return self._answer(question, self.frame_index - 1).wait()

    def remove_object(self, object_id: int) -> None:
        """Forget an object and all that was said about it.

        Raises:
            UserError: If there is no such object.
        """
        if object_id not in self.object_ids:
            known = ', '.join(map(str, self.object_ids)) or 'none'
            raise UserError(
                f'object_id {object_id}: expected an object that was added (known: {known})'
            )
        for rows in self._pending.values():
            rows.pop(object_id, None)
        self._pending = {frame: rows for frame, rows in self._pending.items() if rows}
        if self._state is None or object_id not in self._state.object_ids.tolist():
            return
        if self._last is not None:
            keep = self._state.object_ids != object_id
            question = self._last.question
            before = question.before
            if object_id in before.object_ids.tolist():
                before = before.without_object(object_id)
            rows = {i: row for i, row in question.rows.items() if i != object_id}
            self._last = _LastFrame(
                question._replace(before=before, rows=rows),
                self._last.logits[keep],
                self._last.answered[keep],
            )
        self._state = self._state.without_object(object_id)

    def step(self, image: np.ndarray) -> FrameResult:
        """Answer the next frame.

        Args:
            image: (H, W, 3), uint8, RGB, of the session's size.

        Raises:
            UserError: If nothing was prompted yet, or the frame is no image of the right size.
        """
        return self.begin_step(Upload(image, self.predictor.device)).wait()

    def begin_step(self, image: Upload) -> PendingResult:
        """As :meth:`step`, without waiting for the device: the session goes on to the next frame.

        Args:
            image: That of :meth:`step`, on its way to the model's device.

        Raises:
            UserError: As :meth:`step`.
        """
        check_size(image.image, self.size, self.frame_index)
        if not self._has_objects:
            raise UserError(
                'step: expected prompts before it, got none; call add_prompts(1, points=[[x, y]])'
            )
        with torch.no_grad():
            frame, sample = self.predictor.encode(image, self.task)
        before = self._state
        if before is None:
            before = self.predictor.model.head.memory.start(frame.mask_features)
        _check_grid(before, frame)
        rows = self._pending.get(self.frame_index, {})
        question = _Question(image.image, frame, sample, before, rows)
        result = self._answer(question, self.frame_index)
        self._pending.pop(self.frame_index, None)
        self.frame_index += 1
        return result

    def skip_frame(self) -> None:
        """Let a frame go by that cannot be read.

        Raises:
            UserError: If it was to be prompted.
        """
        if self.frame_index in self._pending:
            raise UserError(
                f'frame {self.frame_index}: expected a readable frame, as there are prompts on it; '
                'prompt another one'
            )
        if self._state is not None:
            self._state = replace(self._state, num_seen=self._state.num_seen + 1)
        self._last = None
        self.frame_index += 1

    def save(self, path: str | Path) -> None:
        """Write the session to a ``.safetensors`` file; the last frame itself is not kept.

        Raises:
            UserError: If the file has another suffix.
            OSError: If it cannot be written.
        """
        saved = SavedSession(self.size, self.task, self.frame_index, self._state, self._pending)
        write_session(path, saved)

    @classmethod
    def restore(cls, predictor: VideoPredictor, path: str | Path) -> VideoSession:
        """The session that :meth:`save` wrote; see :meth:`VideoPredictor.load`."""
        saved = read_session(path)
        session = cls(predictor, saved.size, saved.task)
        session.frame_index = saved.frame_index
        session._pending = saved.pending
        if saved.state is not None:
            predictor.check_memory(saved.state)
            session._state = saved.state.to(predictor.device)
        return session

    def _row(self, object_id: int, said: Mapping[str, Any]) -> Prompts:
        """One checked row of prompts."""
        object_id = _whole_number('object_id', object_id, 1)
        mask, text = said['mask'], said['text']
        row = make_prompts(
            points=_one(said['points']),
            point_labels=_one(said['point_labels']),
            object_ids=[object_id],
            boxes=_one(said['box']),
            masks=None if mask is None else [mask],
            texts=None if text is None else [text],
        )
        if row is None:
            raise _says_nothing(object_id)
        check_prompts(row, self.size, *self.predictor.known_prompts)
        return row

    def _answer(self, question: _Question, index: int) -> PendingResult:
        """Step the memory and keep what a correction needs."""
        prompts = None
        if question.rows:
            prompts = Prompts.concatenate(list(question.rows.values()))
            prompts = prompts_on_canvas(prompts, question.sample)
            if prompts.masks is not None:  # all else is small, and checked on the CPU
                prompts = replace(prompts, masks=prompts.masks.to(self.predictor.device))
        head, features = self.predictor.model.head, question.frame.mask_features[0]
        step = ClipStep(head, head.router.routes[self.task])
        with torch.no_grad():
            prompts = frame_prompts_in_turn(step, question.before, question.frame, prompts)
            answer, (after,) = step([question.before], question.frame, [prompts])
            sizes = head.picture_sizes(question.sample, features)
        result = begin_result(
            answer, after, prompts, features[0], sizes, step.keeper, question.image, index
        )
        count = after.num_objects
        logits, answered = answer.mask_logits[0, :count].float(), answer.active[0, :count]
        self._state, self._last = after, _LastFrame(question, logits, answered)
        return result


def check_size(image: np.ndarray, expected: tuple[int, int], frame_index: int) -> None:
    """Refuse a frame that is no image or of another size (H, W) than those before.

    Raises:
        UserError: If it is so.
    """
    size = check_image(image)
    if size != expected:
        raise UserError(
            f'frame {frame_index}: expected {expected[1]} x {expected[0]} pixels as the frames '
            f'before, got {size[1]} x {size[0]}; start a session for each size'
        )


def _check_grid(state: MemoryState, frame: Frame) -> None:
    """Refuse a frame whose features have another size than those that are remembered.

    Raises:
        UserError: If it is so.
    """
    expected, got = tuple(state.last_masks.shape[-2:]), tuple(frame.mask_features.shape[-2:])
    if expected != got:
        raise UserError(
            f'session: expected features of {expected} cells (rows, columns), as remembered, got '
            f'{got}; load it with the test pipeline that it was saved with'
        )


def _says_nothing(object_id: int) -> UserError:
    return UserError(
        f'object {object_id}: expected points, a box, a mask or a text, got none of them'
    )


def _without_mask(row: Prompts) -> Prompts:
    """A row less its mask and the answer it corrected, which a correction replaces."""
    nothing = torch.zeros_like(row.has_mask)
    return replace(row, masks=None, has_mask=nothing, previous_logits=None)


def _whole_number(name: str, value: Any, least: int) -> int:
    """A number as maps of ids hold it.

    Raises:
        UserError: If it is no whole number, or out of range.
    """
    if (
        isinstance(value, bool)
        or not isinstance(value, Integral)
        or not least <= int(value) <= _LARGEST
    ):
        raise UserError(
            f'{name}: expected a whole number from {least} to {_LARGEST}, got {value!r}; convert '
            'others with int()'
        )
    return int(value)


def _one(value: Any) -> Any:
    """A value for one object as a list for one row."""
    return None if value is None else [value]


def masks_of_id_map(id_map: np.ndarray, void: Sequence[int] = (255,)) -> dict[int, np.ndarray]:
    """Masks of the objects in a map of ids, by id.

    Args:
        id_map: (H, W), 0 for background.
        void: Values of pixels that belong to no known object.

    Raises:
        UserError: If there is no object.
    """
    ids = [int(i) for i in np.unique(id_map) if i > 0 and int(i) not in void]
    if not ids:
        found = sorted({int(i) for i in np.unique(id_map)})
        raise UserError(
            f'mask: expected the ids of objects (1, 2, ...), got {found}; 0 is background and '
            f'{", ".join(map(str, void))} void; write the pixels of a single object as 1'
        )
    return {i: id_map == i for i in ids}
