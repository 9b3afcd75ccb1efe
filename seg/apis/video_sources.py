"""Frames from files, folders, arrays and iterators, one at a time."""

from __future__ import annotations

import os
import reprlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from seg.apis.image_sources import names_of, pictures_in
from seg.apis.overlapped import Upload
from seg.datasets.imaging import read_image
from seg.datasets.index import IMAGE_SUFFIXES
from seg.utils.checks import UserError

if TYPE_CHECKING:
    from av import VideoFrame

VIDEO_SUFFIXES = ('.avi', '.gif', '.m4v', '.mkv', '.mov', '.mp4', '.mpeg', '.mpg', '.webm')

VideoInput = str | os.PathLike[str] | np.ndarray | Iterable[np.ndarray]

_CHUNK = 32  # frames that are held at a time to go backwards through a file
_LOST = 'no picture'
_TIMED_FORMATS = {'mov', 'mp4', 'matroska', 'webm', 'gif'}  # names of FFmpeg


@dataclass(frozen=True)
class FrameRead:
    """One frame, or why there is none.

    Attributes:
        index: Its number in the video, from 0 on.
        image: (H, W, 3), uint8, RGB; ``None`` for a frame that cannot be read.
        error: What is wrong with it, if anything.
        name: Name for files that belong to the frame, without suffix.
        upload: The image on its way to a device, where that has begun.
    """

    index: int
    image: np.ndarray | None
    error: UserError | None = None
    name: str = ''
    upload: Upload | None = None

    def on(self, device: torch.device) -> Upload:
        """The image of a frame that can be read, on its way to a device, if not there yet."""
        assert self.image is not None, 'a frame that cannot be read has no image'
        return self.upload or Upload(self.image, device)


class FrameSource(ABC):
    """A video.

    Attributes:
        name: What it is called, without folder and suffix.
        num_frames: Number of frames, ``None`` where it is not known.
        frames_per_second: ``None`` where it is not known.
        is_stored: Whether frames wait in files; others may only exist when they are asked for.
    """

    name: str = 'video'
    num_frames: int | None = None
    frames_per_second: float | None = None
    is_stored: bool = False

    @abstractmethod
    def forwards(self, start: int = 0) -> Iterator[FrameRead]:
        """The frames from ``start`` on in order.

        Raises:
            UserError: If there is no such frame.
        """

    @abstractmethod
    def read(self, index: int) -> FrameRead:
        """One frame.

        Raises:
            UserError: If there is no such frame, or frames come only one after the other.
        """

    @abstractmethod
    def backwards(self, start: int) -> Iterator[FrameRead]:
        """The frames from ``start`` down to the first.

        Raises:
            UserError: If the video cannot be gone through backwards, or has no such frame.
        """

    def _check_start(self, start: int) -> None:
        if self.num_frames is not None and not 0 <= start < self.num_frames:
            if not self.num_frames:
                raise UserError(f'frame {start}: expected one of {self.name}, which has no frames')
            raise UserError(
                f'frame {start}: expected one of the {self.num_frames} frames of {self.name}, '
                f'0 to {self.num_frames - 1}'
            )


class FolderSource(FrameSource):
    """A folder of images in the order of their names, 9 before 10; turned as their EXIF says.

    Args:
        folder: The folder.
        frames_per_second: What to take for it.

    Raises:
        UserError: If it has no images.
    """

    is_stored = True

    def __init__(self, folder: Path, frames_per_second: float = 24.0) -> None:
        self.name = folder.resolve().name
        self.files = pictures_in(folder)
        if not self.files:
            raise UserError(
                f'input {folder}: expected a folder of frames ({", ".join(IMAGE_SUFFIXES)}), got '
                'one without any'
            )
        self.file_names = names_of(self.files)
        self.num_frames = len(self.files)
        self.frames_per_second = frames_per_second

    def forwards(self, start: int = 0) -> Iterator[FrameRead]:
        """The frames from ``start`` on in order."""
        if start:
            self._check_start(start)
        return (self._read(index) for index in range(start, len(self.files)))

    def read(self, index: int) -> FrameRead:
        """One frame."""
        self._check_start(index)
        return self._read(index)

    def backwards(self, start: int) -> Iterator[FrameRead]:
        """The frames from ``start`` down to the first."""
        self._check_start(start)
        return (self._read(index) for index in range(start, -1, -1))

    def _read(self, index: int) -> FrameRead:
        name = self.file_names[index]
        try:
            return FrameRead(index, read_image(self.files[index], exif=True), name=name)
        except (UserError, OSError) as error:
            problem = UserError(f'frame {index}: {error}')
            return FrameRead(index, None, problem, name)


class ArraySource(FrameSource):
    """Frames in memory, (T, H, W, 3) or a list of (H, W, 3)."""

    def __init__(self, frames: Sequence[Any] | np.ndarray) -> None:
        if isinstance(frames, np.ndarray) and frames.ndim != 4:
            raise UserError(
                f'source: expected frames (T, H, W, 3), uint8, RGB, got {frames.shape}; one image '
                'is image[None]'
            )
        self.frames = frames
        self.num_frames = len(frames)

    def forwards(self, start: int = 0) -> Iterator[FrameRead]:
        """The frames from ``start`` on in order."""
        if start:
            self._check_start(start)
        return (self._read(index) for index in range(start, len(self.frames)))

    def read(self, index: int) -> FrameRead:
        """One frame."""
        self._check_start(index)
        return self._read(index)

    def backwards(self, start: int) -> Iterator[FrameRead]:
        """The frames from ``start`` down to the first."""
        self._check_start(start)
        return (self._read(index) for index in range(start, -1, -1))

    def _read(self, index: int) -> FrameRead:
        return _checked(index, self.frames[index])


class IteratorSource(FrameSource):
    """Frames as they come, such as those of a camera; gone through once, forwards."""

    def __init__(self, frames: Iterable[Any]) -> None:
        self.frames = iter(frames)

    def forwards(self, start: int = 0) -> Iterator[FrameRead]:
        """The frames in order; those before ``start`` are passed over."""
        return (_checked(index, image) for index, image in enumerate(self.frames) if index >= start)

    def read(self, index: int) -> FrameRead:
        """Not possible."""
        raise UserError(
            'source: expected a file, a folder or an array to read single frames of, got an '
            'iterator; collect its frames in a list'
        )

    def backwards(self, start: int) -> Iterator[FrameRead]:
        """Not possible."""
        raise UserError(
            'source: expected a file, a folder or an array to go through backwards, got an '
            'iterator; collect its frames in a list'
        )


class VideoFile(FrameSource):
    """A video file, decoded by PyAV.

    Formats whose files say when each picture is shown are entered at the key frame before the
    wanted one. In others (AVI, MPEG) time stamps are missing or in the order of storage, so frames
    are counted from the beginning on, each time; behind damage, which may hide pictures, their
    numbers can be too small by those that were lost.

    Args:
        path: The file.

    Raises:
        UserError: If it is no video, or holds no frame.
    """

    is_stored = True

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.stem
        self._places: dict[int | None, int] = {}
        self._times, self._is_timed = self._index()
        self.num_frames = len(self._times)

    def forwards(self, start: int = 0) -> Iterator[FrameRead]:
        """The frames from ``start`` on in order."""
        if start:
            self._check_start(start)
        return self._decode(start)

    def read(self, index: int) -> FrameRead:
        """One frame."""
        return next(self.forwards(index))

    def backwards(self, start: int) -> Iterator[FrameRead]:
        """The frames from ``start`` down to the first, some decoded at a time."""
        self._check_start(start)
        last = start
        while last >= 0:
            first = max(0, last - _CHUNK + 1)
            held = []
            for read in self._decode(first):
                if read.index > last:
                    break
                held.append(read)
            yield from reversed(held)
            last = first - 1

    def _index(self) -> tuple[list[int], bool]:
        """Time stamps of all frames in order, without decoding them, and whether they are true."""
        import av

        if not self.path.stat().st_size:
            raise UserError(f'{self.path}: expected a video, got a file of 0 bytes; copy it again')
        try:
            with av.open(str(self.path), metadata_errors='replace') as container:
                if not container.streams.video:
                    raise UserError(f'{self.path}: expected a video, got a file without pictures')
                stream = container.streams.video[0]
                rate = stream.average_rate
                self.frames_per_second = float(rate) if rate else 24.0
                is_timed = not _TIMED_FORMATS.isdisjoint(container.format.name.split(','))
                times: list[int | None] = []
                for packet in container.demux(stream):
                    if packet.size:
                        self._places[packet.dts] = len(times)
                        times.append(packet.pts)
        except av.error.FFmpegError as error:
            raise UserError(
                f'{self.path}: expected a video that FFmpeg can read, got {error.strerror}; check '
                'it in a player'
            ) from None
        if not times:
            raise UserError(f'{self.path}: expected at least one frame, got a video without any')
        self._places.pop(None, None)
        known = [time for time in times if time is not None]
        if not is_timed or len(set(known)) < len(times):
            return list(range(len(times))), False
        return sorted(known), True

    def _decode(self, first: int) -> Iterator[FrameRead]:
        """Frames from number ``first`` on."""
        if not self._is_timed:
            yield from self._decode_counted(first)
            return
        reads = self._decode_timed(first, seeks=first > 0)
        begin = next(reads, None)
        if begin is None:  # the file was entered too late
            reads = self._decode_timed(first, seeks=False)
        else:
            yield begin
        yield from reads

    def _decode_counted(self, first: int) -> Iterator[FrameRead]:
        """Frames from number ``first`` on, numbered as they come.

        A frame carries the place in the file of the packet that it came out after. Where places
        are left out, packets gave no picture.
        """
        import av

        number, last = 0, None
        reasons: list[str] = []
        with av.open(str(self.path), metadata_errors='replace') as container:
            stream = container.streams.video[0]
            stream.codec_context.options = {'err_detect': 'explode'}
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    reasons.append(str(error.strerror))
                    continue
                for frame in frames:
                    place = self._places.get(frame.dts)
                    gap = 0 if place is None or last is None else max(0, place - last - 1)
                    for missing in range(number, min(number + gap, len(self._times) - 1)):
                        number += 1
                        if missing >= first:
                            yield self._broken(missing, reasons.pop(0) if reasons else _LOST)
                    last = place
                    if first <= number < len(self._times):
                        yield FrameRead(number, _upright(frame), name=f'{number:05d}')
                    number += 1
        for missing in range(max(first, number), len(self._times)):
            yield self._broken(missing, reasons.pop(0) if reasons else _LOST)

    def _decode_timed(self, first: int, *, seeks: bool) -> Iterator[FrameRead]:
        """Frames from number ``first`` on, numbered by when they are shown.

        Args:
            first: The number.
            seeks: Whether the file is entered near that frame; then there are none at all if the
                first picture that comes out is a later one.
        """
        import av

        number = {time: index for index, time in enumerate(self._times)}
        expected, is_in_place = first, not seeks
        with av.open(str(self.path), metadata_errors='replace') as container:
            stream = container.streams.video[0]
            stream.codec_context.options = {'err_detect': 'explode'}
            if seeks:
                container.seek(self._times[first], stream=stream, backward=True)
            reasons: dict[int, str] = {}
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    reasons[number.get(packet.pts, expected)] = str(error.strerror)
                    continue
                for frame in frames:
                    index = number.get(frame.pts, expected)
                    if not is_in_place and (frame.pts not in number or index > first):
                        return
                    is_in_place = True
                    if index < expected:
                        continue
                    for missing in range(expected, index):
                        yield self._broken(missing, reasons.get(missing, _LOST))
                    yield FrameRead(index, _upright(frame), name=f'{index:05d}')
                    expected = index + 1
            if not is_in_place:
                return
            for missing in range(expected, len(self._times)):
                yield self._broken(missing, reasons.get(missing, _LOST))

    def _broken(self, index: int, reason: str) -> FrameRead:
        error = UserError(
            f'{self.path}: frame {index}: expected a readable frame, got a broken one ({reason})'
        )
        return FrameRead(index, None, error, f'{index:05d}')


def _upright(frame: VideoFrame) -> np.ndarray:
    """Pixels of a decoded frame as players show it, (H, W, 3): phones store how to turn it."""
    image = frame.to_ndarray(format='rgb24')
    turns = round(frame.rotation / 90) % 4  # counterclockwise
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def open_video(source: VideoInput) -> FrameSource:
    """Frames of a file, a folder of images, arrays or an iterator.

    Raises:
        FileNotFoundError: If there is no such file or folder.
        UserError: If it is no video, or has no frame.
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        if not path.exists():
            raise FileNotFoundError(
                f'input {path}: expected a video or a folder of frames, found nothing there'
            )
        return FolderSource(path) if path.is_dir() else VideoFile(path)
    if isinstance(source, (np.ndarray, list, tuple)):
        return ArraySource(source)
    if not isinstance(source, Iterable):
        raise UserError(
            'source: expected a file, a folder, arrays or an iterator of frames, got '
            f'{reprlib.repr(source)}'
        )
    return IteratorSource(source)


def _checked(index: int, image: Any) -> FrameRead:
    """A frame from memory."""
    name = f'{index:05d}'
    fits = isinstance(image, np.ndarray) and image.ndim == 3 and image.shape[2] == 3
    if not fits or image.dtype != np.uint8 or not image.size:
        got = f'{image.shape} {image.dtype}' if isinstance(image, np.ndarray) else repr(image)
        error = UserError(f'frame {index}: expected (H, W, 3) uint8 RGB, got {got[:80]}')
        return FrameRead(index, None, error, name)
    return FrameRead(index, image, name=name)
