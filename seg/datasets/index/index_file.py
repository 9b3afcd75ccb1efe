"""One file of named arrays that is memory-mapped and knows whether it is whole and current."""

from __future__ import annotations

import json
import mmap
import struct
import weakref
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from seg.datasets.index.texts import Texts
from seg.utils.atomic_write import write_atomically

FORMAT_VERSION = 1
_PREFIX = struct.Struct('<8sIIQ')  # magic, checksums of header and arrays, length of the header
_MAGIC = b'RapSAMix'
_ALIGNMENT = 64
_ENDS = '/ends'
_CHUNK = 1 << 24

Column = np.ndarray | Texts | Iterable[str] | Iterable[bytes]


class IndexFileError(Exception):
    """An index file that is partial, damaged, or belongs to other content."""


class Index:
    """What a data set knows about its samples before it reads one: columns of numbers and texts.

    It is pickled as the path of its file, so that processes share one mapping of it.

    Args:
        columns: Arrays, or sequences of texts, by name.
        meta: Anything small that JSON holds.
    """

    def __init__(self, columns: Mapping[str, Column], meta: Mapping[str, Any]) -> None:
        self.meta = dict(meta)
        self.arrays: dict[str, np.ndarray] = {}
        self._file: tuple[Path, str] | None = None
        for name, column in columns.items():
            if isinstance(column, np.ndarray):
                self.arrays[name] = column
                continue
            texts = column if isinstance(column, Texts) else Texts.pack(column)
            self.arrays[name], self.arrays[name + _ENDS] = texts.data, texts.ends

    def __getitem__(self, name: str) -> np.ndarray:
        """A column of numbers."""
        return self.arrays[name]

    def texts(self, name: str) -> Texts:
        """A column of texts."""
        return Texts(self.arrays[name], self.arrays[name + _ENDS])

    def __reduce__(self) -> tuple[Any, ...]:
        if self._file is not None:
            return open_index, self._file
        return Index, (self.arrays, self.meta)


def write_index(path: Path, index: Index, key: str) -> None:
    """Write an index; it appears whole or not at all.

    Args:
        path: The file.
        index: What to write.
        key: Stands for the content that was indexed.

    Raises:
        OSError: If it cannot be written.
    """
    places, end, checksum = {}, 0, 0
    parts: list[bytes | memoryview] = []
    for name, array in index.arrays.items():
        start = -(-end // _ALIGNMENT) * _ALIGNMENT
        data = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        parts += [bytes(start - end), data]
        places[name] = (array.dtype.str, array.shape, start)
        end = start + data.nbytes
    for part in parts:
        checksum = zlib.crc32(part, checksum)
    content = {
        'format': FORMAT_VERSION,
        'key': key,
        'meta': index.meta,
        'arrays': places,
        'bytes': end,
    }
    header = json.dumps(content).encode()
    header += b' ' * (-(len(header) + _PREFIX.size) % _ALIGNMENT)
    prefix = _PREFIX.pack(_MAGIC, zlib.crc32(header), checksum, len(header))

    def write(file: BinaryIO) -> None:
        for part in (prefix, header, *parts):
            file.write(part)

    write_atomically(path, write, len(prefix) + len(header) + end)


_OPEN: weakref.WeakValueDictionary[tuple[Path, str], Index] = weakref.WeakValueDictionary()


def open_index(path: Path, key: str) -> Index:
    """Map an index file into memory; those who open the same one share the result.

    Args:
        path: The file.
        key: Stands for the content that should have been indexed.

    Raises:
        IndexFileError: If the file is missing, partial, damaged or was made of other content.
    """
    found = _OPEN.get((path, key))
    if found is None:
        found = _OPEN[(path, key)] = _read(path, key)
    return found


def _read(path: Path, key: str) -> Index:
    try:
        with open(path, 'rb') as file:
            content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    except (OSError, ValueError) as error:  # ValueError: a file of 0 bytes
        raise IndexFileError(f'cannot be read ({error})') from None
    header, start, checksum = _header(content)
    if header['key'] != key:
        raise IndexFileError('was made of other content')
    if len(content) != start + header['bytes']:
        raise IndexFileError(f'has {len(content)} bytes instead of {start + header["bytes"]}')
    if _checksum(content, start) != checksum:
        raise IndexFileError('is damaged')
    arrays = {
        name: np.frombuffer(content, np.dtype(kind), int(np.prod(shape)), start + offset).reshape(
            shape
        )
        for name, (kind, shape, offset) in header['arrays'].items()
    }
    index = Index(arrays, header['meta'])
    index._file = (path, key)
    return index


def _header(content: mmap.mmap) -> tuple[dict[str, Any], int, int]:
    """The header, where the arrays begin, and their checksum."""
    if len(content) < _PREFIX.size or content[: len(_MAGIC)] != _MAGIC:
        raise IndexFileError('is no index')
    _, header_checksum, checksum, length = _PREFIX.unpack(content[: _PREFIX.size])
    text = content[_PREFIX.size : _PREFIX.size + length]
    if len(text) != length or zlib.crc32(text) != header_checksum:
        raise IndexFileError('is damaged')
    header = json.loads(text)
    if header['format'] != FORMAT_VERSION:
        raise IndexFileError('was written by another version')
    return header, _PREFIX.size + length, checksum


def _checksum(content: mmap.mmap, start: int) -> int:
    value = 0
    with memoryview(content) as view:
        for place in range(start, len(view), _CHUNK):
            value = zlib.crc32(view[place : place + _CHUNK], value)
    return value
