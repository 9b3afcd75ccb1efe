"""COCO: instances as run-length codes, and panoptic PNG files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from seg.apis.annotation.formats.records import (
    MAX_PIXELS,
    MediaRecord,
    ObjectRecord,
    Picture,
    categories_of,
    checked_size,
    id_map_of,
    labels_and_rows,
    labels_of,
    pictures_of,
    read_json,
    reading,
    write_frame,
    write_json,
)
from seg.apis.annotation.run_lengths import area_of, box_of, encode_mask
from seg.datasets.coco_instance import decode_segmentation
from seg.datasets.imaging import read_image
from seg.structures.panoptic_ids import decode_panoptic, encode_panoptic
from seg.utils.checks import UserError
from seg.visualization.picture_file import write_picture

INSTANCES, PANOPTIC = 'instances.json', 'panoptic.json'


def export_coco(records: Sequence[MediaRecord], folder: Path) -> None:
    """Write ``instances.json`` and ``images/``; frames of videos become images."""
    labels = labels_of(records)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, picture in _written_pictures(records, folder, images):
        for one, counts in picture.masks:
            size = picture.media.size
            annotations.append(
                {
                    'id': len(annotations) + 1,
                    'image_id': image_id,
                    'category_id': labels.index(one.label) + 1,
                    'segmentation': {'size': list(size), 'counts': counts},
                    'area': area_of(counts, size),
                    'bbox': box_of(counts, size),
                    'iscrowd': 0,
                    'object_id': one.object_id,
                }
            )
    content = {'images': images, 'annotations': annotations, 'categories': categories_of(labels)}
    write_json(folder / INSTANCES, content)


def import_coco(folder: Path) -> list[MediaRecord]:
    """Read ``instances.json``; every image is media of its own.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is malformed.
    """
    content = read_json(folder / INSTANCES)
    with reading(INSTANCES, 'COCO instances'):
        labels, rows = labels_and_rows(content, 'image_id')
        return [_image_record(entry, rows[entry['id']], labels) for entry in content['images']]


def export_panoptic(records: Sequence[MediaRecord], folder: Path) -> None:
    """Write ``panoptic.json``, ``panoptic/`` and ``images/``."""
    labels = labels_of(records)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, picture in _written_pictures(records, folder, images):
        ids = id_map_of(picture.media, picture.frame)
        write_picture(folder / 'panoptic' / picture.file_name, encode_panoptic(ids))
        segments = [
            {
                'id': one.object_id,
                'category_id': labels.index(one.label) + 1,
                'area': int((ids == one.object_id).sum()),
                'bbox': box_of(encode_mask(ids == one.object_id), picture.media.size),
                'iscrowd': 0,
            }
            for one, _ in picture.masks
            if (ids == one.object_id).any()
        ]
        entry = {'image_id': image_id, 'file_name': picture.file_name, 'segments_info': segments}
        annotations.append(entry)
    categories = [{**entry, 'isthing': 1} for entry in categories_of(labels)]
    content = {'images': images, 'annotations': annotations, 'categories': categories}
    write_json(folder / PANOPTIC, content)


def import_panoptic(folder: Path) -> list[MediaRecord]:
    """Read ``panoptic.json`` and ``panoptic/``.

    Raises:
        FileNotFoundError: If a file is missing.
        UserError: If one is malformed, or leads out of the folder.
    """
    content = read_json(folder / PANOPTIC)
    with reading(PANOPTIC, 'COCO panoptic'):
        labels = {entry['id']: str(entry['name']) for entry in content['categories']}
        images = {entry['id']: entry for entry in content['images']}
        return [
            _panoptic_record(folder, images[entry['image_id']], entry, labels)
            for entry in content['annotations']
        ]


def _panoptic_record(
    folder: Path, image: Mapping[str, Any], entry: Mapping[str, Any], labels: Mapping[int, str]
) -> MediaRecord:
    path = inside(folder / 'panoptic', str(entry['file_name']))
    ids = decode_panoptic(read_image(path, max_pixels=MAX_PIXELS))
    size = (int(ids.shape[0]), int(ids.shape[1]))
    objects = []
    for segment in entry['segments_info']:
        mask = ids == segment['id']
        if not mask.any():
            raise UserError(f'{path.name}: expected pixels of segment {segment["id"]}, got none')
        label = labels[segment['category_id']]
        objects.append(ObjectRecord(int(segment['id']), label, {0: encode_mask(mask)}))
    return MediaRecord(_stem(image['file_name']), size, 1, False, tuple(objects))


def _image_record(
    entry: Mapping[str, Any], rows: Sequence[Mapping[str, Any]], labels: Mapping[int, str]
) -> MediaRecord:
    size = checked_size(entry['height'], entry['width'], INSTANCES)
    objects = []
    for place, row in enumerate(rows, start=1):
        where = f'{INSTANCES}: annotation {row["id"]!r:.20}'
        mask = decode_segmentation(row['segmentation'], size, where)
        object_id = int(row.get('object_id', place))
        objects.append(ObjectRecord(object_id, labels[row['category_id']], {0: encode_mask(mask)}))
    return MediaRecord(_stem(entry['file_name']), size, 1, False, tuple(objects))


def _written_pictures(
    records: Sequence[MediaRecord], folder: Path, images: list[dict[str, Any]]
) -> Iterator[tuple[int, Picture]]:
    """All pictures with their ids, each written and noted in ``images``."""
    for image_id, picture in enumerate(pictures_of(records), start=1):
        height, width = picture.media.size
        name = picture.file_name
        images.append({'id': image_id, 'file_name': name, 'height': height, 'width': width})
        write_frame(folder / 'images' / name, picture.media, picture.frame)
        yield image_id, picture


def _stem(file_name: Any) -> str:
    """A name without suffix, in which folders stay apart."""
    return str(file_name).rpartition('.')[0].replace('/', '_') or str(file_name)


def inside(folder: Path, name: str) -> Path:
    """A file of a folder by a name from an annotation file.

    Raises:
        UserError: If the name leads out of the folder.
    """
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()) or '\0' in name:
        raise UserError(f'{name!r:.60}: expected a file in the folder, got a name that leads out')
    return path
