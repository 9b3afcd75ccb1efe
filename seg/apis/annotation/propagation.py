"""Following objects through a video, frame by frame, so that it can be stopped at any time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from seg.apis.annotation.item import AnnotatedItem
from seg.apis.annotation.model import AnnotationModel, Answer, Follower, Given
from seg.apis.annotation.run_lengths import area_of, encode_mask
from seg.apis.annotation.state import (
    AnnotatedObject,
    FrameMask,
    followed_origin,
)
from seg.structures import Task
from seg.utils.checks import UserError

_FRAMES_PER_SAVE = 100


@dataclass(frozen=True)
class Run:
    """Objects to follow from one frame on.

    Attributes:
        start: The frame whose masks are given.
        direction: 1 forwards, -1 backwards.
        ends: The last frame of every object, by id.
    """

    start: int
    direction: int
    ends: dict[int, int]

    @property
    def last(self) -> int:
        """The last frame of all."""
        return max(self.ends.values(), key=lambda frame: frame * self.direction)

    @property
    def num_frames(self) -> int:
        """How many frames there are to answer, the first one included."""
        return abs(self.last - self.start) + 1


@dataclass(frozen=True)
class Progress:
    """How far following has come.

    Attributes:
        frame: The frame that was answered last.
        done: Frames answered.
        total: Frames in all.
    """

    frame: int
    done: int
    total: int


def run_through(
    item: AnnotatedItem,
    start: int,
    direction: int,
    num_frames: int | None = None,
    object_ids: Sequence[int] | None = None,
) -> list[Run]:
    """From ``start`` to the end of the video, or ``num_frames`` further.

    Raises:
        UserError: If nothing is known about the objects on the way, or a number is wrong.
    """
    item.check_frame(start)
    if num_frames is not None and (not isinstance(num_frames, int) or num_frames < 1):
        raise UserError(f'num_frames: expected a whole number >= 1, got {num_frames!r}')
    far = item.media.num_frames - 1 if direction > 0 else 0
    if num_frames is not None:
        near = start + direction * num_frames
        far = min(far, near) if direction > 0 else max(far, near)
    chosen = item.objects if object_ids is None else [item.object(i) for i in object_ids]
    way = range(start, far + direction, direction)
    ends = {
        one.object_id: far
        for one in chosen
        if any(
            _is_seen(one, frame, item)
            for frame in one.masks
            if frame in way and _starts(one, frame, start)
        )
    }
    if not ends:
        raise UserError(
            f'propagate: expected an object with a mask on frame {start} or after it on the way, '
            'got none; click on an object first'
        )
    if far == start:
        raise UserError(f'propagate: expected frames beyond frame {start}, got none')
    return [Run(start, direction, ends)]


def changed_runs(item: AnnotatedItem) -> list[Run]:
    """What must be followed again because masks were changed that others were followed from.

    From a changed mask on, in the direction in which its neighbours came from it, to where another
    mask is given or following had ended. Where an object was said to be out of sight, there is
    nothing to follow it from.
    """
    groups: dict[tuple[int, int], dict[int, int]] = {}
    for one in item.objects:
        for frame, direction in one.changed:
            end = _end_of_followed(one, frame, direction)
            if end != frame and _is_seen(one, frame, item):
                groups.setdefault((frame, direction), {})[one.object_id] = end
    return [Run(start, direction, ends) for (start, direction), ends in sorted(groups.items())]


def _end_of_followed(one: AnnotatedObject, frame: int, direction: int) -> int:
    origin = followed_origin(direction)
    while (mask := one.masks.get(frame + direction)) is not None and mask.origin is origin:
        frame += direction
    return frame


def _starts(one: AnnotatedObject, frame: int, start: int) -> bool:
    return frame == start or one.is_anchor(frame)


def _is_seen(one: AnnotatedObject, frame: int, item: AnnotatedItem) -> bool:
    mask = one.masks.get(frame)
    return mask is not None and area_of(mask.counts, item.media.size) > 0


class Propagation:
    """Follows objects, one frame per step; what was done stays when it is stopped.

    All of it is one step of undo. Frames that cannot be read are left out.

    Args:
        model: With a memory.
        item: A video.
        runs: What to follow.
        task: ``vos``, where objects never overlap, or ``interactive_video``.

    Raises:
        UserError: If the model has no memory, or objects of the item are followed already.
    """

    def __init__(
        self,
        model: AnnotationModel,
        item: AnnotatedItem,
        runs: Sequence[Run],
        task: Task = Task.VOS,
    ) -> None:
        if item.running:
            raise UserError('propagate: expected no other propagation of this item; stop it first')
        self.item, self.runs = item, list(runs)
        self.total = sum(run.num_frames for run in self.runs)
        self._stopped = self._begun = False
        self._followers = [model.follower(item.media.size, task) for _ in self.runs]

    def stop(self) -> None:
        """Stop before the next frame."""
        self._stopped = True

    def __iter__(self) -> Iterator[Progress]:
        """Go on frame by frame.

        Raises:
            UserError: If the model refuses; what was done before stays.
        """
        item = self.item
        item.running = True
        done = 0
        try:
            for run, follower in zip(self.runs, self._followers, strict=True):
                for frame in self._follow(run, follower):
                    done += 1
                    if done % _FRAMES_PER_SAVE == 0:
                        item.tell_change()
                    yield Progress(frame, done, self.total)
        finally:
            item.running = False
            item.tell_change()

    def _follow(self, run: Run, follower: Follower) -> Iterator[int]:
        begun = False
        for read in self.item.media.stream(run.start, run.direction):
            frame = read.index
            if self._stopped or (frame - run.last) * run.direction > 0:
                return
            given = self._given(run, frame) if read.image is not None else {}
            begun = begun or bool(given)
            if read.image is None:
                follower.skip()
            elif begun:
                self._write(run, frame, follower.step(read.image, given))
            self._drop_the_finished(run, frame, follower)
            yield frame

    def _given(self, run: Run, frame: int) -> dict[int, Given]:
        """Masks that stand on a frame: those of the start, and those a person stands behind."""
        given = {}
        for object_id, end in run.ends.items():
            one = self.item.state.objects[object_id]
            inside = (end - frame) * run.direction >= 0
            if not (inside and (frame == run.start or one.is_anchor(frame))):
                continue
            mask = self.item.mask(object_id, frame)
            if mask is not None and mask.any():
                given[object_id] = Given(mask, one.prompts.get(frame))
        return given

    def _write(self, run: Run, frame: int, answers: dict[int, Answer]) -> None:
        """Keep the answers of a frame, but where a mask stands."""
        state, written = self.item.state, 0
        for object_id in run.ends:
            one = state.objects[object_id]
            # What lies beyond this frame was followed from older masks: it is the front now.
            ahead = one.changed - {(frame - run.direction, run.direction)}
            changed = ahead | {(frame, run.direction)}
            stands = frame == run.start or one.is_anchor(frame)
            if object_id not in answers or (run.ends[object_id] - frame) * run.direction < 0:
                continue
            if not stands:
                answer = answers[object_id]
                mask = FrameMask(
                    encode_mask(answer.mask), followed_origin(run.direction), answer.score
                )
                one = replace(one, masks={**one.masks, frame: mask})
                written += 1
            state = state.with_object(replace(one, changed=changed))
        if self._begun:
            self.item.history.amend(state, written)
        else:
            self.item.history.push(state, written)
        self._begun = True

    def _drop_the_finished(self, run: Run, frame: int, follower: Follower) -> None:
        for object_id, end in run.ends.items():
            if end == frame and frame != run.last:
                follower.drop(object_id)
