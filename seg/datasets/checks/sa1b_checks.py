"""Checks of annotations in the format of SA-1B, in files and in tar shards."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.checks.coco_checks import mask_faults
from seg.datasets.checks.fault import Fault, FaultKind
from seg.datasets.json_fields import INTEGER, shown
from seg.datasets.sa1b_files import image_size_of, parse_sa1b
from seg.datasets.shard_dataset import decode_member
from seg.datasets.shards import (
    Pair,
    ShardTable,
    find_shards,
    read_member,
    sample_place,
    scan_shard,
)
from seg.utils.checks import UserError


def sa1b_faults(
    read_image: Callable[[], np.ndarray],
    read_text: Callable[[], bytes],
    image_name: str,
    text_name: str,
) -> list[Fault]:
    """What is wrong with an image and its annotation.

    Args:
        read_image: Gives (H, W, 3), or raises what is wrong.
        read_text: Gives the JSON text, or raises what is wrong.
        image_name: Names the image in faults.
        text_name: Names the annotation in faults.
    """
    found: list[Fault] = []
    image: np.ndarray | None = None
    try:
        image = read_image()
    except (UserError, OSError) as error:
        found.append(Fault.of_error(error, image_name))
    try:
        annotation = parse_sa1b(read_text(), text_name)
        size = image_size_of(annotation, text_name)
    except (UserError, OSError) as error:
        return [*found, Fault.of_error(error, text_name)]
    if image is not None and image.shape[:2] != size:
        message = (
            f'expected height x width {size[0]} x {size[1]} as in {text_name}, got '
            f'{image.shape[0]} x {image.shape[1]}; the image was resized after it was annotated'
        )
        found.append(Fault(FaultKind.SIZE_MISMATCH, image_name, message))
    return [*found, *_row_faults(annotation['annotations'], size, text_name)]


def _row_faults(
    rows: Sequence[dict[str, Any]], size: tuple[int, int], name: str
) -> Iterator[Fault]:
    seen: set[Any] = set()
    for place, row in enumerate(rows):
        object_id = row.get('id', place + 1)
        if not INTEGER.accepts(object_id):
            message = f"expected an integer in the field 'id' of annotations[{place}], got "
            yield Fault(FaultKind.BAD_ANNOTATION, name, message + shown(object_id))
        elif object_id in seen:
            message = f'expected every id of a mask once, got {object_id} twice; rename one'
            yield Fault(FaultKind.DUPLICATE_ID, name, message)
        else:
            seen.add(object_id)
        yield from mask_faults(row.get('segmentation'), size, Path(name), f'annotations[{place}]')


class ShardCheck:
    """Tar shards of images and annotations, each of which is scanned anew.

    Args:
        shards: A folder of ``*.tar``, or one or several tar files.
    """

    def __init__(self, shards: str | Path | Sequence[str | Path]) -> None:
        self._faults: list[Fault] = []
        try:
            self.shards = find_shards(shards)
        except (UserError, OSError) as error:
            self._faults.append(Fault.of_error(error))
            self.shards = []
        table = ShardTable()
        for path in self.shards:
            table.add(self._scan(path))
        for key, first, second in table.repeated_keys():
            message = f'expected the key {key!r} in one shard, got it in {self.shards[first]}, too'
            self._faults.append(Fault(FaultKind.DUPLICATE_ID, str(self.shards[second]), message))
        self.index = table.index()

    def _scan(self, path: Path) -> list[Pair]:
        try:
            return scan_shard(path)
        except UserError as error:
            self._faults.append(Fault.of_error(error, path))
            return []

    def faults(self) -> Sequence[Fault]:
        """Faults of whole shards."""
        return self._faults

    def __len__(self) -> int:
        """Number of samples."""
        return len(self.index['shard'])

    def part_faults(self, part: int) -> Sequence[Fault]:
        """Faults of one image and its annotation."""
        number, pair = sample_place(self.index, part)
        path = self.shards[number]
        name = f'{path}: {pair.key}'
        return sa1b_faults(
            lambda: decode_member(read_member(path, pair.key, pair.image), name),
            lambda: read_member(path, pair.key, pair.annotation),
            name,
            f'{name}.json',
        )
