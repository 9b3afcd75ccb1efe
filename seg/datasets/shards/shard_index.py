"""Where each sample of a set of shards lies, in one memory-mapped file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from seg.datasets.index import (
    Column,
    Index,
    IndexFileError,
    Texts,
    cached_index,
    open_index,
    write_index,
)
from seg.datasets.shards.tar_files import Member, Pair, scan_shard
from seg.utils.checks import UserError

KIND, VERSION = 'shards', 1
INDEX_NAME = 'shards.index'
"""The index beside the shards of a folder."""


class ShardTable:
    """Collects the pairs of shards in arrays; a sample costs less than 100 bytes."""

    def __init__(self) -> None:
        self._numbers: list[np.ndarray] = []
        self._keys: list[Texts] = []
        self._hashes: list[np.ndarray] = []

    def add(self, pairs: Sequence[Pair]) -> None:
        """Add the pairs of the next shard."""
        rows = [
            (pair.image.offset, pair.annotation.offset, pair.image.size, pair.annotation.size)
            for pair in pairs
        ]
        self._numbers.append(np.array(rows, dtype=np.int64).reshape(-1, 4))
        keys = Texts.pack(pair.key for pair in pairs)
        self._keys.append(keys)
        digests = [
            hashlib.blake2b(keys.raw(place), digest_size=8).digest() for place in range(len(keys))
        ]
        self._hashes.append(np.frombuffer(b''.join(digests), dtype=np.uint64))

    def repeated_keys(self) -> Iterator[tuple[str, int, int]]:
        """Keys that two shards have, with the numbers of the shards."""
        hashes = np.concatenate(self._hashes) if self._hashes else np.zeros(0, np.uint64)
        order = np.argsort(hashes, kind='stable')
        ends = np.cumsum([len(keys) for keys in self._keys])
        for place in np.flatnonzero(np.diff(hashes[order]) == 0).tolist():
            rows = order[place : place + 2]
            shards = np.searchsorted(ends, rows, side='right').tolist()
            starts = [int(ends[number]) - len(self._keys[number]) for number in shards]
            first, second = (
                self._keys[number][int(row) - start]
                for number, row, start in zip(shards, rows, starts, strict=True)
            )
            if first == second:
                yield first, shards[0], shards[1]

    def index(self) -> Index:
        """The index of all pairs.

        The columns are ``keys`` (texts) and, per sample, ``shard``, ``offsets`` and ``sizes`` of
        the image and of the annotation, (S, 2).
        """
        numbers = np.concatenate([np.zeros((0, 4), np.int64), *self._numbers])
        lengths = [len(keys) for keys in self._keys]
        starts = np.cumsum([0, *(len(keys.data) for keys in self._keys)])
        ends = [keys.ends + start for keys, start in zip(self._keys, starts, strict=False)]
        data = np.concatenate([np.zeros(0, np.uint8), *(keys.data for keys in self._keys)])
        columns: dict[str, Column] = {
            'keys': Texts(data, np.concatenate([np.zeros(0, np.int64), *ends])),
            'shard': np.repeat(np.arange(len(lengths), dtype=np.int32), lengths),
            'offsets': numbers[:, :2].copy(),
            'sizes': numbers[:, 2:].astype(np.uint32),
        }
        return Index(columns, {})


def build_shard_index(
    shards: Sequence[Path], each: Callable[[Path], object] | None = None
) -> Index:
    """Scan shards; see :meth:`ShardTable.index`.

    Args:
        shards: The tar files.
        each: Called with each of them when it has been scanned.

    Raises:
        UserError: If a shard is damaged, or a key occurs twice.
    """
    table = ShardTable()
    for path in shards:
        table.add(scan_shard(path))
        if each is not None:
            each(path)
    for key, first, second in table.repeated_keys():
        raise UserError(
            f'{shards[second]}: expected every key in one shard, got {key!r}, which is in '
            f'{shards[first]}, too; remove one of them'
        )
    return table.index()


def shards_digest(shards: Sequence[Path]) -> str:
    """Digest of the names and sizes of shards, and of their order.

    Their content, gigabytes of it, is not read: a file that has moved within a shard is noticed
    when it is read.
    """
    entries = [(path.name, path.stat().st_size) for path in shards]
    return hashlib.sha256(json.dumps([VERSION, entries]).encode()).hexdigest()


def write_shard_index(
    folder: Path, shards: Sequence[Path], each: Callable[[Path], object] | None = None
) -> int:
    """Write the index beside the shards of a folder.

    Args:
        folder: The folder.
        shards: All of its shards.
        each: See :func:`build_shard_index`.

    Returns:
        Number of samples.

    Raises:
        UserError: If a shard is damaged, or a key occurs twice.
    """
    index = build_shard_index(shards, each)
    write_index(folder / INDEX_NAME, index, shards_digest(shards))
    return len(index['shard'])


def load_shard_index(shards: Sequence[Path]) -> Index:
    """The index of shards: the one beside them, or else one in the cache, made when needed.

    Args:
        shards: The tar files.

    Raises:
        UserError: If it has to be made and a shard is damaged, or a key occurs twice.
    """
    digest = shards_digest(shards)
    beside = shards[0].parent / INDEX_NAME
    try:
        return open_index(beside, digest)
    except IndexFileError as error:
        if beside.is_file():
            print_log(f'index {beside} {error}; it is not used', 'current', 30)
    return cached_index(KIND, VERSION, shards[0].parent, digest, lambda: build_shard_index(shards))


def sample_place(index: Index, row: int) -> tuple[int, Pair]:
    """Number of the shard that a sample lies in, and where in it."""
    (image, annotation), sizes = index['offsets'][row].tolist(), index['sizes'][row].tolist()
    pair = Pair(index.texts('keys')[row], Member(image, sizes[0]), Member(annotation, sizes[1]))
    return int(index['shard'][row]), pair
