"""Following prompted objects through videos of any length, in constant memory."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from mmengine.dataset import Compose

from seg.apis.both_ways import follow_both_ways
from seg.apis.frame_packing import encode_frame
from seg.apis.frame_result import FrameResult, PendingResult
from seg.apis.overlapped import Upload, fetched_ahead, one_behind
from seg.apis.test_pipeline import build_test_transforms
from seg.apis.video_models import check_follows
from seg.apis.video_session import VideoSession, check_size
from seg.apis.video_sources import FrameRead, FrameSource, VideoInput, open_video
from seg.models.heads.clip_frame import Frame
from seg.models.memory import MemoryState
from seg.structures import ClipSample, Prompts, Task
from seg.utils.checks import UserError
from seg.utils.devices import device_of, runs_ahead

_logger = logging.getLogger(__name__)


class VideoPredictor:
    """Follows objects given by points, boxes, masks or words.

    Example::

        predictor = VideoPredictor(load_model('config.py', 'weights.pth'))
        session = predictor.start(height=480, width=854)
        session.add_prompts(1, points=[[300, 200]])
        for frame in camera:
            result = session.step(frame)

        for result in predictor.propagate('video.mp4', prompts=prompts):
            ...

    Args:
        model: From :func:`~seg.apis.load_model`.

    Raises:
        UserError: If the model has no memory, or its config no test data.
    """

    def __init__(self, model: Any) -> None:
        check_follows(model)
        self.model = model
        self.pipeline = Compose(build_test_transforms(model.cfg))

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return device_of(self.model)

    @property
    def known_prompts(self) -> tuple[Any, ...]:
        """What the model says about the kinds of prompts that it knows."""
        return self.model.prompt_kinds, self.model.prompt_refusals

    def start(
        self, height: int, width: int, *, task: Task | str = Task.INTERACTIVE_VIDEO
    ) -> VideoSession:
        """Begin a video.

        Args:
            height: Of all frames, pixels.
            width: Of all frames, pixels.
            task: ``interactive_video``, or ``vos`` where masks are exact and objects never overlap.

        Raises:
            UserError: If a size is not positive, or the task follows no objects.
        """
        if height < 1 or width < 1:
            raise UserError(f'start: expected a height and width >= 1, got {height} and {width}')
        chosen = Task.parse(task)
        if chosen not in (Task.INTERACTIVE_VIDEO, Task.VOS):
            raise UserError(f'task: expected interactive_video or vos, got {chosen}')
        if not self.model.head.router.routes[chosen].memory:
            raise UserError(
                f'task: expected one that the model follows objects in, got {chosen}; its router '
                'has enable_streaming_memory=False'
            )
        return VideoSession(self, (int(height), int(width)), chosen)

    def load(self, path: str | Path) -> VideoSession:
        """Go on with a session that was saved.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If it is no session, or that of another model.
        """
        return VideoSession.restore(self, path)

    def propagate(
        self,
        source: VideoInput | FrameSource,
        session: VideoSession | None = None,
        *,
        prompts: Prompts | None = None,
        task: Task | str = Task.INTERACTIVE_VIDEO,
        backward: bool = False,
        skip_bad_frames: bool = False,
    ) -> Iterator[FrameResult]:
        """Answer all frames of a video, one after the other.

        Args:
            source: A video file, a folder of images, arrays (T, H, W, 3), or an iterator of
                frames.
            session: With prompts; it goes on where it is.
            prompts: Instead of a session, in pixels of the video, each row on its frame.
            task: Of the prompts, see :meth:`start`.
            backward: Go from the last prompted frame down to the first frame; needs ``prompts`` and
                a source that is no iterator.
            skip_bad_frames: Leave out frames that cannot be read, with a warning; they have no
                result.

        Yields:
            The result of each frame.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If there is no frame or no prompt, a frame is broken, or the size changes;
                the message names the frame by its number in the source, which is not that of the
                session's results if the session has gone on. A session stays usable.
        """
        opened = source if isinstance(source, FrameSource) else open_video(source)
        if (session is None) == (prompts is None):
            raise UserError('propagate: expected either a session or prompts, got both or neither')
        if prompts is not None:
            check_frames(prompts, opened)
        if backward:
            if prompts is None:
                raise UserError('backward: expected prompts rather than a session')
            start = int(prompts.frame_index.max())
            reads = opened.backwards(start)
            prompts = replace(prompts, frame_index=start - prompts.frame_index)
        else:
            reads = opened.forwards()
        reads = fetched_ahead(opened, reads, self.device)
        if prompts is None:
            assert session is not None, 'checked above'
            begun = self._begin(reads, session, skip_bad_frames)
            return (pending.wait() for _, pending in begun)
        # A frame of a stream may be long in coming.
        is_ahead = runs_ahead(self.device) and opened.num_frames is not None
        return self._follow(reads, prompts, Task.parse(task), skip_bad_frames, is_ahead=is_ahead)

    def propagate_both_ways(
        self,
        source: VideoInput | FrameSource,
        prompts: Prompts,
        *,
        task: Task | str = Task.INTERACTIVE_VIDEO,
        skip_bad_frames: bool = False,
    ) -> Iterator[FrameResult]:
        """Answer all frames of a video, in order, those before the first prompts too.

        Objects are followed forwards from their first prompt, and backwards in the frames before;
        see :func:`~seg.apis.both_ways.follow_both_ways`. Arguments and errors are those of
        :meth:`propagate`; the source is no iterator.
        """
        opened = source if isinstance(source, FrameSource) else open_video(source)
        check_frames(prompts, opened)
        return follow_both_ways(
            self, opened, prompts, Task.parse(task), skip_bad_frames=skip_bad_frames
        )

    def _follow(
        self,
        reads: Iterator[FrameRead],
        prompts: Prompts,
        task: Task,
        skip_bad_frames: bool,
        *,
        is_ahead: bool,
    ) -> Iterator[FrameResult]:
        """Answer frames with prompts whose frames are counted from the first one read.

        Nobody but this has the session, so it may be a frame ahead of its results.
        """
        prompted = set(prompts.frame_index.tolist())
        missed, first = 0, next(reads, None)
        while first is not None and first.image is None:
            _pass_over(first, skip_bad_frames, is_prompted=missed in prompted)
            missed, first = missed + 1, next(reads, None)
        if first is None:
            raise UserError('source: expected at least one frame, got none that can be read')
        assert first.image is not None, 'others were passed over'
        session = self.start(*first.image.shape[:2], task=task)
        session.add_rows(prompts)
        for _ in range(missed):
            session.skip_frame()
        reads = chain([first], reads)
        del first  # which may hold memory of a GPU
        begun = self._begin(reads, session, skip_bad_frames)
        for index, pending in one_behind(begun) if is_ahead else begun:
            yield replace(pending.wait(), frame_index=index)
        late = [frame for frame in prompted if frame >= session.frame_index]
        if late:
            _logger.warning('prompts on frame %s: the video ended before', min(late))

    def _begin(
        self, reads: Iterator[FrameRead], session: VideoSession, skip_bad_frames: bool
    ) -> Generator[tuple[int, PendingResult], None, None]:
        """Answer frames with a session, without waiting for the answers.

        Yields:
            The number of each frame in the source, which errors tell too, and its answer on the
            way.
        """
        answered = 0
        for read in reads:
            if read.image is None:
                is_prompted = session.is_prompted(session.frame_index)
                _pass_over(read, skip_bad_frames, is_prompted=is_prompted)
                session.skip_frame()
                continue
            check_size(read.image, session.size, read.index)
            answered += 1
            yield read.index, session.begin_step(read.on(self.device))
        if not answered:
            raise UserError('source: expected at least one frame, got none that can be read')

    def encode(self, image: Upload, task: Task) -> tuple[Frame, ClipSample]:
        """Features of a frame and its sizes; for sessions."""
        return encode_frame(self.model, self.pipeline, image, task)

    def check_memory(self, state: MemoryState) -> None:
        """Refuse a memory of another model.

        Raises:
            UserError: If its sizes are not the model's.
        """
        memory = self.model.head.memory
        cells = memory.reader.key_size(tuple(state.last_masks.shape[-2:]))
        expected = (memory.reader.key_channels, memory.feat_channels, *cells)
        got = (state.keys.shape[1], state.queries.shape[1], *state.keys.shape[-2:])
        if expected != got:
            raise UserError(
                'session: expected a memory of (key channels, query channels, rows, columns) = '
                f'{expected}, got {got}; load it with the model that saved it'
            )


def _pass_over(read: FrameRead, skip_bad_frames: bool, *, is_prompted: bool) -> None:
    """Let a frame without a picture go by with a warning, where such frames are skipped.

    Raises:
        UserError: If they are not, or there are prompts on it; with what is wrong with it.
    """
    assert read.error is not None, 'a frame without a picture says why'
    if not skip_bad_frames:
        raise UserError(f'{read.error}; mend it, or skip such frames')
    if is_prompted:
        raise UserError(f'{read.error}; there are prompts on it: prompt another one')
    _logger.warning('skipped: %s', read.error)


def check_frames(prompts: Prompts, source: FrameSource) -> None:
    """Make sure that there is something to follow, on frames that the video has.

    Raises:
        UserError: If there is no row, or one is on a frame after the last.
    """
    if not len(prompts):
        raise UserError('prompts: expected at least one row, got none')
    last, count = int(prompts.frame_index.max()), source.num_frames
    if count and last >= count:
        raise UserError(
            f'frame {last}: expected prompts on the frames of {source.name}, 0 to {count - 1}, got '
            f'some on frame {last}'
        )
