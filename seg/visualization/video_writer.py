"""Writing videos and the id maps of their frames."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from PIL import Image

from seg.utils.atomic_write import write_atomically
from seg.utils.checks import UserError
from seg.visualization.palettes import voc_color

_CODECS = ('libx264', 'mpeg4')
_LARGEST_ID, _LARGEST_WIDE_ID = 255, 65535


class VideoWriter:
    """Writes frames into an MP4 file as they come; a context manager.

    The file appears when the writer is left without an error. Odd sizes lose a row or column,
    which the format demands.

    Args:
        path: The file, ending in ``.mp4``.
        frames_per_second: Of the video.

    Raises:
        UserError: If the suffix or the rate is not possible.
    """

    def __init__(self, path: str | Path, frames_per_second: float = 24.0) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() != '.mp4':
            raise UserError(f'output {path}: expected a file named *.mp4, got {self.path.name!r}')
        if not 0 < frames_per_second <= 1000:
            raise UserError(f'frames_per_second: expected 0 to 1000, got {frames_per_second}')
        self.rate = Fraction(frames_per_second).limit_denominator(1001)
        self._temporary = self.path.with_name(f'.{self.path.stem}.part.mp4')
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> VideoWriter:
        """Make the folder."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        return self

    def write(self, image: np.ndarray) -> None:
        """Append a frame, (H, W, 3), uint8, RGB."""
        import av

        if self._container is None:
            self._open(image.shape[0] // 2 * 2, image.shape[1] // 2 * 2)
        height, width = self._stream.height, self._stream.width
        cut = np.ascontiguousarray(image[:height, :width])
        for packet in self._stream.encode(av.VideoFrame.from_ndarray(cut, format='rgb24')):
            self._container.mux(packet)

    def _open(self, height: int, width: int) -> None:
        import av

        codec = next(name for name in _CODECS if name in av.codecs_available)
        self._container = av.open(str(self._temporary), 'w')
        self._stream = self._container.add_stream(codec, rate=self.rate)
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = 'yuv420p'
        if codec == 'libx264':
            self._stream.options = {'crf': '18', 'preset': 'veryfast'}

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finish the file, or remove what there is of it after an error."""
        if self._container is None:
            return
        if error is None:
            for packet in self._stream.encode():
                self._container.mux(packet)
        self._container.close()
        if error is None:
            self._temporary.replace(self.path)
        else:
            self._temporary.unlink(missing_ok=True)


def write_id_map(path: str | Path, id_map: np.ndarray) -> Path:
    """Write ids as a palette PNG file with the colours of DAVIS.

    Args:
        path: The file.
        id_map: (H, W), whole numbers 0 to 255.

    Raises:
        UserError: If an id is larger.
        OSError: If the file cannot be written.
    """
    _check_ids(id_map, _LARGEST_ID, 'a palette PNG file')
    picture = Image.fromarray(id_map.astype(np.uint8), mode='P')
    picture.putpalette([value for index in range(256) for value in voc_color(index)])
    write_atomically(path, lambda file: picture.save(file, format='PNG'))
    return Path(path)


def write_wide_id_map(path: str | Path, id_map: np.ndarray) -> Path:
    """Write ids as a PNG file of 16 bits, without colours.

    Args:
        path: The file.
        id_map: (H, W), whole numbers 0 to 65535.

    Raises:
        UserError: If an id is larger.
        OSError: If the file cannot be written.
    """
    _check_ids(id_map, _LARGEST_WIDE_ID, 'a PNG file of 16 bits')
    picture = Image.fromarray(id_map.astype(np.uint16))
    write_atomically(path, lambda file: picture.save(file, format='PNG'))
    return Path(path)


def fits_palette(id_map: np.ndarray) -> bool:
    """Whether :func:`write_id_map` can write a map."""
    return bool(id_map.max(initial=0) <= _LARGEST_ID)


def _check_ids(id_map: np.ndarray, largest: int, holder: str) -> None:
    if id_map.min(initial=0) < 0 or id_map.max(initial=0) > largest:
        raise UserError(
            f'id map: expected ids 0 to {largest}, which {holder} holds, got '
            f'{id_map.min()} to {id_map.max()}; number the objects anew'
        )
