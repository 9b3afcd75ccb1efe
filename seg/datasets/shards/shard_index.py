"""Where each sample of a set of shards lies, in one memory-mapped file."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from mmengine.logging import print_log

from seg.datasets.index import (
    Column,
    Index,
    IndexFileError,
    cached_index,
    open_index,
    write_index,
)
from seg.datasets.shards.tar_files import Member, Pair, scan_shard
from seg.utils.checks import UserError

KIND, VERSION = 'shards', 1
INDEX_NAME = 'shards.index'
"""The index beside the shards of a folder."""


def build_shard_index(
    shards: Sequence[Path], each: Callable[[Path], object] | None = None
) -> Index:
    """Scan shards.

    The columns are ``keys`` (texts) and, per sample, ``shard``, ``offsets`` and ``sizes`` of the
    image and of the annotation, (S, 2).

    Args:
        shards: The tar files.
        each: Called with each of them when it has been scanned.

    Raises:
        UserError: If a shard is damaged, or a key occurs twice.
    """
    pairs: list[list[Pair]] = []
    owner: dict[str, Path] = {}
    for path in shards:
        pairs.append(scan_shard(path))
        for pair in pairs[-1]:
            if pair.key in owner:
                raise UserError(
                    f'{path}: expected every key in one shard, got {pair.key!r}, which is in '
                    f'{owner[pair.key]}, too; remove one of them'
                )
            owner[pair.key] = path
        if each is not None:
            each(path)
    return _to_index(pairs)


def _to_index(pairs: Sequence[Sequence[Pair]]) -> Index:
    rows = [
        (pair.image.offset, pair.annotation.offset, pair.image.size, pair.annotation.size)
        for part in pairs
        for pair in part
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 4)
    columns: dict[str, Column] = {
        'keys': [pair.key for part in pairs for pair in part],
        'shard': np.repeat(np.arange(len(pairs), dtype=np.int32), [len(part) for part in pairs]),
        'offsets': table[:, :2].copy(),
        'sizes': table[:, 2:].astype(np.uint32),
    }
    return Index(columns, {})


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
