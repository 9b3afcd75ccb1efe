"""Label Studio: brush labels, one task per picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

from seg.apis.annotation.formats.brush_codes import decode_brush, encode_brush
from seg.apis.annotation.formats.records import (
    MediaRecord,
    ObjectRecord,
    Picture,
    checked_size,
    labels_of,
    pictures_of,
    read_json,
    reading,
    write_frame,
    write_json,
)
from seg.apis.annotation.run_lengths import decode_mask, encode_mask
from seg.utils.checks import UserError

FILE = 'label_studio.json'
LABELS_FILE = 'label_studio.xml'
_REGION = re.compile(r'object-([1-9][0-9]{0,8})')
_UPLOADED = re.compile(r'^[0-9a-f]{8}-')


def export_label_studio(records: Sequence[MediaRecord], folder: Path) -> None:
    """Write ``label_studio.json``, the labels of a project that shows it, and ``images/``.

    Frames of videos become tasks of their own.
    """
    tasks = []
    for number, picture in enumerate(pictures_of(records), start=1):
        write_frame(folder / 'images' / picture.file_name, picture.media, picture.frame)
        results = [_region(picture, one, counts) for one, counts in picture.masks]
        data = {'image': f'images/{picture.file_name}'}
        height, width = picture.media.size
        meta = {'width': width, 'height': height}
        annotations = [{'id': number, 'result': results}]
        tasks.append({'id': number, 'data': data, 'meta': meta, 'annotations': annotations})
    write_json(folder / FILE, tasks)
    (folder / LABELS_FILE).write_text(_labelling_config(labels_of(records)), encoding='utf-8')


def import_label_studio(folder: Path) -> list[MediaRecord]:
    """Read ``label_studio.json``; brush labels of the first annotation of every task.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is malformed, or has regions of another kind.
    """
    tasks = read_json(folder / FILE)
    if not isinstance(tasks, list):
        raise UserError(f'{FILE}: expected a list of tasks, got something else')
    with reading(FILE, 'tasks with brush labels'):
        return [_record(task) for task in tasks]


def _region(picture: Picture, one: ObjectRecord, counts: str) -> dict[str, Any]:
    height, width = picture.media.size
    return {
        'id': f'object-{one.object_id}',
        'type': 'brushlabels',
        'from_name': 'label',
        'to_name': 'image',
        'original_width': width,
        'original_height': height,
        'image_rotation': 0,
        'value': {
            'format': 'rle',
            'rle': encode_brush(decode_mask(counts, picture.media.size)),
            'brushlabels': [one.label],
        },
    }


def _record(task: Mapping[str, Any]) -> MediaRecord:
    results = task['annotations'][0]['result'] if task['annotations'] else []
    meta = task.get('meta') or {}
    shape = results[0] if results else {}
    height = shape.get('original_height') or meta['height']
    width = shape.get('original_width') or meta['width']
    size = checked_size(height, width, FILE)
    objects = []
    for region, object_id in zip(results, _object_ids(results), strict=True):
        if region['type'] != 'brushlabels':
            raise UserError(f'{FILE}: expected brushlabels, got {region["type"]!r:.40}')
        mask = decode_brush(region['value']['rle'], size, FILE)
        label = str(region['value']['brushlabels'][0])
        objects.append(ObjectRecord(object_id, label, {0: encode_mask(mask)}))
    stem = _picture_name(str(task['data']['image'])).rpartition('.')[0].replace('/', '_')
    return MediaRecord(stem, size, 1, False, tuple(objects))


def _object_ids(results: Sequence[Mapping[str, Any]]) -> list[int]:
    """Ids of regions: those that exports gave them, new ones for what was drawn since."""
    named = [_REGION.fullmatch(str(region['id'])) for region in results]
    given = [int(match[1]) if match else 0 for match in named]
    taken: set[int] = set()
    ids = []
    for known in given:
        is_free = known > 0 and known not in taken
        ids.append(known if is_free else max([*given, *taken]) + 1)
        taken.add(ids[-1])
    return ids


def _picture_name(address: str) -> str:
    """What a picture was called before Label Studio took it, which puts a code before names."""
    inner = address.partition('images/')[2]
    return inner or _UPLOADED.sub('', address.rpartition('/')[2])


def _labelling_config(labels: Sequence[str]) -> str:
    """The XML that a Label Studio project needs to show exported tasks."""
    names = ''.join(f'    <Label value={quoteattr(label)}/>\n' for label in labels)
    brush = f'  <BrushLabels name="label" toName="image">\n{names}  </BrushLabels>\n'
    return f'<View>\n  <Image name="image" value="$image"/>\n{brush}</View>\n'
