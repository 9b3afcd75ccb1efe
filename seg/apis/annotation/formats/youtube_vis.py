"""YouTube-VIS: objects with a run-length code per frame; an image is a video of one frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from seg.apis.annotation.formats.records import (
    MediaRecord,
    ObjectRecord,
    categories_of,
    checked_size,
    labels_and_rows,
    labels_of,
    read_json,
    reading,
    write_frame,
    write_json,
)
from seg.apis.annotation.run_lengths import area_of, box_of, encode_mask
from seg.datasets.coco_instance import decode_segmentation
from seg.utils.checks import UserError

FILE = 'train.json'
FRAMES = 'train/JPEGImages'


def export_youtube_vis(records: Sequence[MediaRecord], folder: Path) -> None:
    """Write ``train.json`` and ``train/JPEGImages/NAME/00000.jpg``."""
    labels = labels_of(records)
    videos: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for video_id, record in enumerate(records, start=1):
        names = [f'{record.name}/{frame:05d}.jpg' for frame in range(record.num_frames)]
        for frame, name in enumerate(names):
            write_frame(folder / FRAMES / name, record, frame)
        height, width = record.size
        video = {'id': video_id, 'file_names': names, 'height': height, 'width': width}
        videos.append({**video, 'length': len(names)})
        for one in record.objects:
            category = labels.index(one.label) + 1
            ids = {'id': len(annotations) + 1, 'video_id': video_id, 'category_id': category}
            annotations.append({**ids, **_tube(one, record), 'object_id': one.object_id})
    categories = categories_of(labels)
    content = {'videos': videos, 'annotations': annotations, 'categories': categories}
    write_json(folder / FILE, content)


def import_youtube_vis(folder: Path) -> list[MediaRecord]:
    """Read ``train.json``.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is malformed.
    """
    content = read_json(folder / FILE)
    with reading(FILE, 'YouTube-VIS'):
        labels, rows = labels_and_rows(content, 'video_id')
        return [_record(video, rows[video['id']], labels) for video in content['videos']]


def _tube(one: ObjectRecord, record: MediaRecord) -> dict[str, Any]:
    size = record.size
    codes = [one.masks.get(frame) for frame in range(record.num_frames)]
    return {
        'iscrowd': 0,
        'segmentations': [None if c is None else {'size': list(size), 'counts': c} for c in codes],
        'bboxes': [None if c is None else box_of(c, size) for c in codes],
        'areas': [None if c is None else area_of(c, size) for c in codes],
    }


def _record(
    video: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], labels: Mapping[int, str]
) -> MediaRecord:
    size = checked_size(video['height'], video['width'], FILE)
    length = len(video['file_names'])
    name = str(video['file_names'][0]).partition('/')[0]
    objects = []
    for place, row in enumerate(rows, start=1):
        codes = row['segmentations']
        if len(codes) != length:
            raise UserError(
                f'{FILE}: annotation {row["id"]!r:.20}: expected {length} segmentations, got '
                f'{len(codes)}'
            )
        where = f'{FILE}: annotation {row["id"]!r:.20}'
        masks = {
            frame: encode_mask(decode_segmentation(code, size, where))
            for frame, code in enumerate(codes)
            if code is not None
        }
        object_id = int(row.get('object_id', place))
        objects.append(ObjectRecord(object_id, labels[row['category_id']], masks))
    return MediaRecord(name, size, length, length > 1, tuple(objects))
