"""Annotations as every format sees them: media, objects, masks."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from seg.apis.annotation.run_lengths import area_of, decode_mask
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError
from seg.visualization.picture_file import write_picture

MAX_PIXELS = 1 << 26
"""Of masks that are read from files."""

UNKNOWN_LABEL = 'object'
"""The label of objects from files that hold none."""


@dataclass(frozen=True)
class ObjectRecord:
    """One object.

    Attributes:
        object_id: Unique in its media, from 1 on.
        label: Name of its class.
        masks: COCO's text of run lengths by frame; frames where it is not seen have none.
    """

    object_id: int
    label: str
    masks: Mapping[int, str]


@dataclass(frozen=True)
class MediaRecord:
    """An image (one frame) or a video.

    Attributes:
        name: Part of file names, without suffix; unique.
        size: (H, W), pixels.
        num_frames: Number of frames.
        is_video: Whether it is a video.
        objects: In the order they were added.
        read: Gives a frame, (H, W, 3), uint8, RGB; ``None`` for what was imported.
    """

    name: str
    size: tuple[int, int]
    num_frames: int
    is_video: bool
    objects: tuple[ObjectRecord, ...]
    read: Callable[[int], np.ndarray] | None = field(default=None, compare=False)


class Picture(NamedTuple):
    """One frame that has a file of its own.

    Attributes:
        file_name: With folder and suffix.
        media: What it belongs to.
        frame: Its number.
        masks: Objects that are seen on it, with their run lengths.
    """

    file_name: str
    media: MediaRecord
    frame: int
    masks: list[tuple[ObjectRecord, str]]


def seen_only(record: MediaRecord) -> MediaRecord:
    """The record without empty masks."""
    objects = tuple(
        replace(one, masks={f: c for f, c in one.masks.items() if area_of(c, record.size)})
        for one in record.objects
    )
    return replace(record, objects=objects)


def pictures_of(records: Sequence[MediaRecord]) -> Iterator[Picture]:
    """Images, and those frames of videos on which objects are seen."""
    for record in records:
        frames = range(record.num_frames)
        for frame in frames:
            masks = [(one, one.masks[frame]) for one in record.objects if frame in one.masks]
            if not record.is_video:
                yield Picture(f'{record.name}.png', record, frame, masks)
            elif masks:
                yield Picture(f'{record.name}/{frame:05d}.png', record, frame, masks)


def labels_of(records: Sequence[MediaRecord]) -> list[str]:
    """All labels, sorted."""
    return sorted({one.label for record in records for one in record.objects})


def read_frame(record: MediaRecord, frame: int) -> np.ndarray:
    """A frame of a record that has some.

    Raises:
        UserError: If it has none.
    """
    if record.read is None:
        raise UserError(f'{record.name}: expected frames to export, got annotations alone')
    return record.read(frame)


def write_frame(path: Path, record: MediaRecord, frame: int) -> None:
    """Write a frame, as PNG or JPEG by the suffix.

    Raises:
        UserError: If the record has no frames.
    """
    write_picture(path, read_frame(record, frame))


def id_map_of(record: MediaRecord, frame: int) -> np.ndarray:
    """Ids of objects by pixel, (H, W), int32, 0 for none; of several the smallest object shows."""
    ids = np.zeros(record.size, np.int32)
    shown = [
        (decode_mask(one.masks[frame], record.size), one.object_id)
        for one in record.objects
        if frame in one.masks
    ]
    for mask, object_id in sorted(shown, key=lambda pair: -int(pair[0].sum())):
        ids[mask] = object_id
    return ids


def checked_size(height: Any, width: Any, where: str) -> tuple[int, int]:
    """(H, W) from a file; masks of that size are drawn next.

    Raises:
        UserError: If it is none, or so large that masks would fill the memory.
    """
    try:
        size = int(height), int(width)
    except (TypeError, ValueError, OverflowError):
        size = 0, 0
    if min(size) < 1 or size[0] * size[1] > MAX_PIXELS:
        raise UserError(
            f'{where}: expected a height and width of together 1 to {MAX_PIXELS} pixels, got '
            f'{height!r:.20} and {width!r:.20}'
        )
    return size


@contextmanager
def reading(file_name: str, kind: str) -> Iterator[None]:
    """Turns what a malformed file leads to into an error that names the file.

    Args:
        file_name: What is read.
        kind: What is expected in it.

    Raises:
        UserError: If it holds something else.
    """
    try:
        yield
    except UserError:
        raise
    except (LookupError, TypeError, AttributeError, ValueError, OverflowError) as error:
        reason = f'no {error}' if isinstance(error, KeyError) else str(error)
        raise UserError(
            f'{file_name}: expected {kind}, got something else ({reason:.100})'
        ) from None


def labels_and_rows(
    content: Mapping[str, Any], key: str
) -> tuple[dict[Any, str], dict[Any, list[Mapping[str, Any]]]]:
    """Names of categories by id, and annotations by what they belong to, in COCO's JSON."""
    labels = {entry['id']: str(entry['name']) for entry in content['categories']}
    rows = defaultdict(list)
    for annotation in content['annotations']:
        rows[annotation[key]].append(annotation)
    return labels, rows


def categories_of(labels: Sequence[str]) -> list[dict[str, Any]]:
    """COCO's categories."""
    return [{'id': i, 'name': label} for i, label in enumerate(labels, start=1)]


def write_json(path: Path, content: Any) -> None:
    """Write JSON."""
    write_bytes_atomically(path, json.dumps(content).encode('utf-8'))


def read_json(path: Path) -> Any:
    """Read JSON.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is none.
    """
    if not path.is_file():
        raise FileNotFoundError(f'{path.name}: expected a file of annotations, got none')
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except (ValueError, RecursionError) as error:
        raise UserError(
            f'{path.name}: expected JSON, got something else ({error!s:.100})'
        ) from None
