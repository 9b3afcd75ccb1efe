"""Arrays of one shape by key, in memory-mapped files that several processes may fill at once.

Every writer appends to files of its own: ``NAME.bin`` holds the arrays one after the other, and
``NAME.idx`` one line per array that is complete. A line without its end, or an array without its
line, is what a killed writer leaves behind, and is not there for readers.
"""

from __future__ import annotations

import json
import os
import shutil
import uuid
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError

_VERSION = 1
_SETTINGS = 'store.json'
_SPARE_BYTES = 1 << 20  # left free on the disk


class _Place(NamedTuple):
    """Where an array is: its file's name, its number in the file, and its checksum."""

    shard: str
    row: int
    checksum: int


class EmbeddingStore:
    """A dictionary of half-precision arrays on disk.

    Args:
        folder: Where the files are; made when something is written.
        shape: Shape of every array.
        shard_bytes: A writer starts another file at this size.

    Raises:
        UserError: If the folder holds arrays of another shape, or something else.
    """

    def __init__(
        self, folder: str | os.PathLike[str], shape: Sequence[int], shard_bytes: int = 1 << 30
    ) -> None:
        self.folder = Path(folder)
        self.shape = tuple(shape)
        self.shard_rows = max(1, shard_bytes // self._row_bytes)
        self._places: dict[str, _Place] = {}
        self._read_bytes: dict[str, int] = {}
        self._maps: dict[str, np.ndarray] = {}
        self._writer: str | None = None
        self._written = 0
        self._check_settings()

    @property
    def _row_bytes(self) -> int:
        return 2 * int(np.prod(self.shape))

    def __len__(self) -> int:
        """Number of arrays known so far; see :meth:`refresh`."""
        return len(self._places)

    def refresh(self) -> None:
        """Take note of what other processes have written meanwhile."""
        for index in sorted(self.folder.glob('*.idx')):
            start = self._read_bytes.get(index.stem, 0)
            if index.stat().st_size == start:
                continue
            with open(index, 'rb') as file:
                file.seek(start)
                new = file.read()
            complete = new[: new.rfind(b'\n') + 1]
            self._read_bytes[index.stem] = start + len(complete)
            for line in complete.decode('ascii', errors='replace').splitlines():
                self._note(index.stem, line)

    def _note(self, shard: str, line: str) -> None:
        parts = line.split()
        if len(parts) == 3 and parts[1].isdigit() and parts[2].isdigit():
            self._places[parts[0]] = _Place(shard, int(parts[1]), int(parts[2]))

    def get(self, key: str) -> np.ndarray | None:
        """The array of a key, float16, or ``None`` if there is none or it is damaged."""
        if key not in self._places:
            self.refresh()
        place = self._places.get(key)
        if place is None:
            return None
        array = self._row(place)
        if array is None or zlib.crc32(array.tobytes()) != place.checksum:
            del self._places[key]  # to be written anew
            return None
        return array

    def _row(self, place: _Place) -> np.ndarray | None:
        rows = self._maps.get(place.shard)
        if rows is None or place.row >= len(rows):
            path = self.folder / f'{place.shard}.bin'
            count = path.stat().st_size // self._row_bytes if path.is_file() else 0
            if place.row >= count:
                return None
            rows = np.memmap(path, np.float16, 'r', shape=(count, *self.shape))
            self._maps[place.shard] = rows
        return np.array(rows[place.row])

    def put(self, key: str, array: np.ndarray) -> None:
        """Write an array, rounded to half precision.

        Args:
            key: Letters and digits, no spaces.
            array: Of the store's shape.

        Raises:
            UserError: If the shape is wrong, or the disk is full; what was there stays.
        """
        if array.shape != self.shape:
            raise UserError(f'{self.folder}: expected shape {self.shape}, got {array.shape}')
        data = np.ascontiguousarray(array, dtype=np.float16).tobytes()
        shard = self._open_shard()
        free = shutil.disk_usage(self.folder).free
        if free < len(data) + _SPARE_BYTES:
            raise UserError(self._full(free))
        path = self.folder / f'{shard}.bin'
        try:
            with open(path, 'ab') as file:
                file.write(data)
            line = f'{key} {self._written} {zlib.crc32(data)}\n'
            with open(path.with_suffix('.idx'), 'ab') as file:
                file.write(line.encode())
        except OSError as error:
            os.truncate(path, self._written * self._row_bytes)
            raise UserError(f'{self._full(free)} ({error.strerror})') from error
        self._places[key] = _Place(shard, self._written, zlib.crc32(data))
        self._read_bytes[shard] = self._read_bytes.get(shard, 0) + len(line)
        self._written += 1

    def _open_shard(self) -> str:
        """The file that this process appends to."""
        if self._writer is None or self._written >= self.shard_rows:
            self.folder.mkdir(parents=True, exist_ok=True)
            settings = json.dumps({'version': _VERSION, 'shape': self.shape}).encode()
            if not (self.folder / _SETTINGS).exists():
                write_bytes_atomically(self.folder / _SETTINGS, settings)
            self._writer, self._written = f'{os.getpid()}-{uuid.uuid4().hex}', 0
        return self._writer

    def _full(self, free: int) -> str:
        return (
            f'embedding cache {self.folder}: expected room for {self._row_bytes / 1e6:.1f} MB per '
            f'image, got {free / 1e6:.1f} MB free; free some space, move the cache, or train '
            'without one. What is cached so far stays usable'
        )

    def _check_settings(self) -> None:
        path = self.folder / _SETTINGS
        if not path.is_file():
            names = [path.name for path in self.folder.glob('*')]
            if any(_SETTINGS not in name for name in names):  # not just being written
                raise UserError(
                    f'embedding cache {self.folder}: expected a new folder or one with '
                    f'{_SETTINGS}, got one with other files; choose another folder'
                )
            return
        try:
            found = json.loads(path.read_bytes())
        except ValueError:
            found = {}
        if found != {'version': _VERSION, 'shape': list(self.shape)}:
            raise UserError(
                f'embedding cache {self.folder}: expected arrays of shape {self.shape} (version '
                f'{_VERSION}), got {found}; delete the folder or choose another one'
            )
