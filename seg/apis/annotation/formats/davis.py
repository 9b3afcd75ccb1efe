"""DAVIS 2017: palette PNG files of object ids, without classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seg.apis.annotation.formats.records import (
    MAX_PIXELS,
    UNKNOWN_LABEL,
    MediaRecord,
    ObjectRecord,
    id_map_of,
    write_frame,
)
from seg.apis.annotation.run_lengths import encode_mask
from seg.datasets.davis import VOID
from seg.datasets.imaging import read_id_map
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError
from seg.visualization.video_writer import write_id_map

MAPS, FRAMES, LIST = 'Annotations/480p', 'JPEGImages/480p', 'ImageSets/2017/train.txt'


def export_davis(records: Sequence[MediaRecord], folder: Path) -> None:
    """Write ``Annotations/480p``, ``JPEGImages/480p`` and the list of sequences.

    Raises:
        UserError: If an object has an id that the maps do not hold (above 254).
    """
    for record in records:
        for one in record.objects:
            if one.object_id >= VOID:
                raise UserError(
                    f'{record.name}: expected ids of objects below {VOID}, which is what DAVIS '
                    f'holds, got {one.object_id}'
                )
        for frame in range(record.num_frames):
            name = f'{record.name}/{frame:05d}'
            write_frame(folder / FRAMES / f'{name}.jpg', record, frame)
            write_id_map(folder / MAPS / f'{name}.png', id_map_of(record, frame))
    names = ''.join(f'{record.name}\n' for record in records)
    write_bytes_atomically(folder / LIST, names.encode('utf-8'))


def import_davis(folder: Path) -> list[MediaRecord]:
    """Read every folder of ``Annotations/480p``.

    Raises:
        FileNotFoundError: If there is none.
        UserError: If a map is broken, or of another size than the first.
    """
    if not (folder / MAPS).is_dir():
        raise FileNotFoundError(f'{MAPS}: expected folders of maps, got no such folder')
    return [_record(path) for path in sorted((folder / MAPS).iterdir()) if path.is_dir()]


def _record(folder: Path) -> MediaRecord:
    files = sorted(folder.glob('*.png'))
    if not files:
        raise UserError(f'{folder.name}: expected PNG files of ids, got none')
    size: tuple[int, int] | None = None
    masks: dict[int, dict[int, str]] = {}
    for frame, file in enumerate(files):
        ids = read_id_map(file, max_pixels=MAX_PIXELS)
        size = size or (int(ids.shape[0]), int(ids.shape[1]))
        if ids.shape != size:
            raise UserError(f'{file.name}: expected the size {size}, got {ids.shape}')
        for value in np.unique(ids).tolist():
            if value not in (0, VOID):
                masks.setdefault(value, {})[frame] = encode_mask(ids == value)
    assert size is not None, 'there is a file'
    objects = tuple(ObjectRecord(key, UNKNOWN_LABEL, masks[key]) for key in sorted(masks))
    return MediaRecord(folder.name, size, len(files), len(files) > 1, objects)
