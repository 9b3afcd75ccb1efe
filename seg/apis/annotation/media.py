"""Images and videos that are annotated: any frame at any time, a few of them held."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from seg.apis.video_sources import (
    IMAGE_SUFFIXES,
    VIDEO_SUFFIXES,
    ArraySource,
    FrameRead,
    FrameSource,
    open_video,
)
from seg.datasets.imaging import read_image
from seg.utils.checks import UserError

_HELD_BYTES = 64 << 20


class ImageFile(FrameSource):
    """An image file as a video of one frame, which is read whenever it is asked for.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self.name, self.num_frames = path, path.stem, 1

    def forwards(self, start: int = 0) -> Iterator[FrameRead]:
        """The image."""
        yield self.read(start)

    def read(self, index: int) -> FrameRead:
        """The image, upright.

        Raises:
            FileNotFoundError: If the file is gone.
            UserError: If it is broken, or another frame is asked for.
        """
        self._check_start(index)
        return FrameRead(index, read_image(self.path, exif=True), name=self.name)

    def backwards(self, start: int) -> Iterator[FrameRead]:
        """The image."""
        yield self.read(start)


class Media:
    """An image, or a video with a known number of frames.

    Args:
        name: What it is called; names files of exports, never a file to read.
        source: Its frames.
        is_video: Whether it is a video; an image has one frame.
        path: Where it was opened, if anywhere.

    Raises:
        UserError: If the first frame cannot be read.
    """

    def __init__(
        self, name: str, source: FrameSource, is_video: bool, path: Path | None = None
    ) -> None:
        assert source.num_frames is not None, 'a source without an end cannot be annotated'
        self.name, self.source, self.is_video, self.path = name, source, is_video, path
        self.num_frames: int = source.num_frames
        self._held: OrderedDict[int, np.ndarray] = OrderedDict()
        height, width = self._load(0).shape[:2]
        self.size: tuple[int, int] = (height, width)

    def read(self, frame: int) -> np.ndarray:
        """A frame, (H, W, 3), uint8, RGB.

        Raises:
            FileNotFoundError: If its file is gone.
            UserError: If there is no such frame, it is broken, or of another size than the first.
        """
        if frame in self._held:
            self._held.move_to_end(frame)
            return self._held[frame]
        image = self._load(frame)
        if image.shape[:2] != self.size:
            self._held.pop(frame)
            raise UserError(
                f'{self.name}: frame {frame}: expected {self.size[1]} x {self.size[0]} pixels as '
                f'when it was opened, got {image.shape[1]} x {image.shape[0]}; open the file anew'
            )
        return image

    def stream(self, start: int, direction: int) -> Iterator[FrameRead]:
        """The frames from ``start`` on, forwards or backwards."""
        return self.source.forwards(start) if direction > 0 else self.source.backwards(start)

    def release(self) -> None:
        """Forget the frames that are held."""
        self._held.clear()

    def _load(self, frame: int) -> np.ndarray:
        read = self.source.read(frame)
        if read.image is None:
            assert read.error is not None, 'a frame without a picture says why'
            raise read.error
        self._hold(read)
        return read.image

    def _hold(self, read: FrameRead) -> None:
        assert read.image is not None, 'checked before'
        self._held[read.index] = read.image
        while len(self._held) > 1 and sum(i.nbytes for i in self._held.values()) > _HELD_BYTES:
            self._held.popitem(last=False)


def open_media(path: Path, name: str | None = None) -> Media:
    """Open an image file, a video file, or a folder of frames as a video.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is neither, or broken.
    """
    called = path.stem if name is None else name
    if not path.is_dir() and path.suffix.lower() in IMAGE_SUFFIXES:
        return Media(called, ImageFile(path), is_video=False, path=path)
    if not path.is_dir() and path.suffix.lower() not in VIDEO_SUFFIXES and path.exists():
        raise UserError(
            f'{path.name}: expected an image ({", ".join(IMAGE_SUFFIXES)}) or a video '
            f'({", ".join(VIDEO_SUFFIXES)}), got the suffix {path.suffix!r}; convert it first'
        )
    return Media(called, open_video(path), is_video=True, path=path)


def array_media(array: np.ndarray, name: str) -> Media:
    """Media of an array: (H, W, 3) is an image, (T, H, W, 3) a video, uint8, RGB.

    Raises:
        UserError: If it is neither.
    """
    frames = array[None] if array.ndim == 3 else array
    if not len(frames):
        raise UserError('source: expected at least one frame, got none')
    return Media(name, ArraySource(frames), is_video=array.ndim == 4)
