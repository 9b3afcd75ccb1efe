"""Objects followed forwards and backwards from where they were prompted, as one result."""

from __future__ import annotations

import logging
import zlib
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from seg.apis.frame_result import FrameResult
from seg.apis.video_sources import FrameRead, FrameSource
from seg.structures import Prompts, Task
from seg.utils.checks import UserError

if TYPE_CHECKING:
    from seg.apis.video_predictor import VideoPredictor


_logger = logging.getLogger(__name__)


class _Packed(NamedTuple):
    """What is kept of a frame that was answered backwards, some hundred bytes per object.

    Attributes:
        result: Without masks, map and image.
        masks: Compressed bits of the masks.
        id_map: Compressed map.
        size: (H, W).
    """

    result: FrameResult
    masks: bytes
    id_map: bytes
    size: tuple[int, int]


def follow_both_ways(
    predictor: VideoPredictor,
    source: FrameSource,
    prompts: Prompts,
    task: Task,
    *,
    skip_bad_frames: bool = False,
) -> Iterator[FrameResult]:
    """All frames in order, each object as it was followed from its first prompt in either way.

    Frames before an object's first prompt show it as it was followed backwards from the last
    prompted frame; those from its first prompt on as it was followed forwards. The video is gone
    through twice, backwards first.

    Args:
        predictor: What answers.
        source: No iterator.
        prompts: In pixels of the video, each row on its frame.
        task: ``interactive_video`` or ``vos``.
        skip_bad_frames: Leave out frames that cannot be read.

    Yields:
        The result of each frame.

    Raises:
        UserError: As :meth:`~seg.apis.VideoPredictor.propagate`.
    """
    first = _first_frames(prompts)
    begin, end = min(first.values()), max(first.values())
    earlier: dict[int, _Packed] = {}
    for back in predictor.propagate(
        source, prompts=prompts, task=task, backward=True, skip_bad_frames=skip_bad_frames
    ):
        if back.frame_index < end:
            earlier[back.frame_index] = _pack(back)
    for read, result in _forwards(predictor, source, prompts, task, begin, skip_bad_frames):
        if result is not None and read.index >= end:
            yield result
            continue
        assert read.image is not None, 'frames that cannot be read were left out'
        packed = earlier.pop(read.index, None)
        if packed is None:
            _logger.warning('frame %d: could not be read on the way back', read.index)
            if result is not None:
                yield result
            continue
        before = _unpack(packed, read.image)
        yield before if result is None else _joined(before, result, first)


def _first_frames(prompts: Prompts) -> dict[int, int]:
    """The frame that each object is first prompted on."""
    first: dict[int, int] = {}
    for object_id, frame in zip(
        prompts.object_ids.tolist(), prompts.frame_index.tolist(), strict=True
    ):
        first[object_id] = min(frame, first.get(object_id, frame))
    return first


def _forwards(
    predictor: VideoPredictor,
    source: FrameSource,
    prompts: Prompts,
    task: Task,
    begin: int,
    skip_bad_frames: bool,
) -> Iterator[tuple[FrameRead, FrameResult | None]]:
    """Frames in order, with answers from frame ``begin`` on."""
    session = None
    for read in source.forwards():
        if read.image is None:
            if not skip_bad_frames:
                raise UserError(f'{read.error}; mend it, or skip such frames')
            if session is not None:
                session.skip_frame()
            continue
        if read.index < begin:
            yield read, None
            continue
        if session is None:
            session = predictor.start(*read.image.shape[:2], task=task)
            for _ in range(read.index):
                session.skip_frame()
            session.add_rows(prompts)
        yield read, session.step(read.image)


def _joined(before: FrameResult, after: FrameResult, first: dict[int, int]) -> FrameResult:
    """Objects that were prompted by then as ``after`` has them, the others as ``before``."""
    index = after.frame_index
    early = np.array([first[i] > index for i in before.object_ids.tolist()], dtype=bool)
    late = np.array([first[i] <= index for i in after.object_ids.tolist()], dtype=bool)
    free = ~np.isin(after.id_map, after.object_ids[late])
    shown = free & np.isin(before.id_map, before.object_ids[early])
    parts = ((before, early), (after, late))

    def joined(name: str) -> np.ndarray:
        return np.concatenate([getattr(result, name)[rows] for result, rows in parts])

    return replace(
        after,
        object_ids=joined('object_ids'),
        masks=joined('masks'),
        scores=joined('scores'),
        visible=joined('visible'),
        id_map=np.where(shown, before.id_map, np.where(free, 0, after.id_map)).astype(np.int32),
    )


def _pack(result: FrameResult) -> _Packed:
    empty = np.zeros(0, dtype=np.uint8)
    return _Packed(
        replace(result, masks=empty, id_map=empty, image=empty),
        zlib.compress(np.packbits(result.masks).tobytes(), 1),
        zlib.compress(result.id_map.tobytes(), 1),
        result.id_map.shape,
    )


def _unpack(packed: _Packed, image: np.ndarray) -> FrameResult:
    shape = (len(packed.result.object_ids), *packed.size)
    bits = np.frombuffer(zlib.decompress(packed.masks), dtype=np.uint8)
    id_map = np.frombuffer(zlib.decompress(packed.id_map), dtype=np.int32)
    return replace(
        packed.result,
        masks=np.unpackbits(bits, count=int(np.prod(shape))).astype(bool).reshape(shape),
        id_map=id_map.reshape(packed.size),
        image=image,
    )
