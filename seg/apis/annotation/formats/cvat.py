"""CVAT XML 1.1: masks on images, and tracks of masks on videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np

from seg.apis.annotation.formats.records import (
    MediaRecord,
    ObjectRecord,
    checked_size,
    labels_of,
    pictures_of,
    reading,
    write_frame,
)
from seg.apis.annotation.run_lengths import decode_mask, encode_mask
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError

FILE = 'annotations.xml'


def export_cvat_images(records: Sequence[MediaRecord], folder: Path) -> None:
    """Write ``annotations.xml`` and ``images/``; frames of videos become images."""
    root = _document('annotation', labels_of(records), len(records), None)
    for number, picture in enumerate(pictures_of(records)):
        write_frame(folder / 'images' / picture.file_name, picture.media, picture.frame)
        height, width = picture.media.size
        about = {'id': str(number), 'name': picture.file_name}
        element = Xml.SubElement(root, 'image', about, width=str(width), height=str(height))
        for one, counts in picture.masks:
            code = _mask_attributes(decode_mask(counts, picture.media.size))
            about = {'label': one.label, 'source': 'manual', 'occluded': '0', 'z_order': '0'}
            Xml.SubElement(element, 'mask', {**about, **code, 'group_id': str(one.object_id)})
    _write(folder / FILE, root)


def import_cvat_images(folder: Path) -> list[MediaRecord]:
    """Read ``annotations.xml`` of images.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is malformed, or has shapes other than masks.
    """
    root = _read(folder / FILE)
    with reading(FILE, 'CVAT XML 1.1'):
        return [_image_record(element) for element in root.iter('image')]


def export_cvat_video(records: Sequence[MediaRecord], folder: Path) -> None:
    """Write a folder per video with ``annotations.xml`` and ``images/``: CVAT has a task each."""
    for record in records:
        root = _document('interpolation', labels_of([record]), record.num_frames, record)
        for one in record.objects:
            about = {'id': str(one.object_id), 'label': one.label, 'source': 'manual'}
            _add_track(Xml.SubElement(root, 'track', about), one, record)
        for frame in range(record.num_frames):
            path = folder / record.name / 'images' / f'frame_{frame:06d}.png'
            write_frame(path, record, frame)
        _write(folder / record.name / FILE, root)


def import_cvat_video(folder: Path) -> list[MediaRecord]:
    """Read ``annotations.xml`` of one video, or of every folder with one.

    Raises:
        FileNotFoundError: If there is none.
        UserError: If one is malformed, or has shapes other than masks.
    """
    files = [folder / FILE] if (folder / FILE).is_file() else sorted(folder.glob(f'*/{FILE}'))
    if not files:
        raise FileNotFoundError(f'{FILE}: expected the file of a video, got none')
    with reading(FILE, 'CVAT XML 1.1'):
        return [_video_record(_read(file)) for file in files]


def _document(
    mode: str, labels: Sequence[str], size: int, video: MediaRecord | None
) -> Xml.Element:
    """The root with what CVAT says about a task."""
    root = Xml.Element('annotations')
    Xml.SubElement(root, 'version').text = '1.1'
    task = Xml.SubElement(Xml.SubElement(root, 'meta'), 'task')
    name = 'annotations' if video is None else video.name
    for key, value in (('name', name), ('size', str(size)), ('mode', mode)):
        Xml.SubElement(task, key).text = value
    listed = Xml.SubElement(task, 'labels')
    for label in labels:
        entry = Xml.SubElement(listed, 'label')
        Xml.SubElement(entry, 'name').text = label
        Xml.SubElement(entry, 'type').text = 'mask'
    if video is not None:
        original = Xml.SubElement(task, 'original_size')
        Xml.SubElement(original, 'width').text = str(video.size[1])
        Xml.SubElement(original, 'height').text = str(video.size[0])
    return root


def _add_track(track: Xml.Element, one: ObjectRecord, record: MediaRecord) -> None:
    """Every mask is a key frame; a frame without one after it ends the track for a while."""
    last: dict[str, str] = {}
    for frame in range(record.num_frames):
        seen = frame in one.masks
        if not seen and (not last or last['outside'] == '1'):
            continue
        code = _mask_attributes(decode_mask(one.masks[frame], record.size)) if seen else last
        last = {**code, 'outside': '0' if seen else '1'}
        about = {'frame': str(frame), 'keyframe': '1', 'occluded': '0', 'z_order': '0'}
        Xml.SubElement(track, 'mask', {**last, **about})


def _image_record(element: Xml.Element) -> MediaRecord:
    size = checked_size(element.attrib['height'], element.attrib['width'], FILE)
    objects: dict[int, ObjectRecord] = {}
    for shape in element:
        _check_shape(shape)
        given = int(shape.get('group_id', 0))
        object_id = given if given > 0 and given not in objects else max(objects, default=0) + 1
        mask = encode_mask(_mask_from(shape.attrib, size))
        objects[object_id] = ObjectRecord(object_id, shape.attrib['label'], {0: mask})
    name = element.attrib['name'].rpartition('.')[0].replace('/', '_')
    return MediaRecord(name, size, 1, False, tuple(objects.values()))


def _video_record(root: Xml.Element) -> MediaRecord:
    task = root.find('meta/task')
    if task is None:
        raise ValueError('no task')
    height, width = (task.findtext(f'original_size/{side}') for side in ('height', 'width'))
    size = checked_size(height, width, FILE)
    length = int(task.findtext('size') or 0)
    objects = []
    for track in root.iter('track'):
        masks: dict[int, str] = {}
        for shape in track:
            _check_shape(shape)
            frame = int(shape.attrib['frame'])
            if not 0 <= frame < length:
                raise ValueError(f'frame {frame} of {length}')
            if shape.attrib['outside'] == '0':
                masks[frame] = encode_mask(_mask_from(shape.attrib, size))
        object_id = int(track.attrib['id'])
        objects.append(ObjectRecord(object_id, track.attrib['label'], masks))
    if objects and min(one.object_id for one in objects) < 1:  # CVAT itself counts from 0
        objects = [ObjectRecord(one.object_id + 1, one.label, one.masks) for one in objects]
    name = task.findtext('name') or 'video'
    return MediaRecord(name, size, length, True, tuple(objects))


def _mask_attributes(mask: np.ndarray) -> dict[str, str]:
    """Box of a mask, which is not empty, and run lengths in it, row by row, background first."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    part = mask[top : int(rows[-1]) + 1, left : int(columns[-1]) + 1]
    values = part.ravel()
    edges = np.flatnonzero(np.diff(values)) + 1
    lengths = np.diff(np.concatenate([[0], edges, [values.size]])).tolist()
    runs = [0, *lengths] if values[0] else lengths
    return {
        'rle': ', '.join(map(str, runs)),
        'left': str(left),
        'top': str(top),
        'width': str(part.shape[1]),
        'height': str(part.shape[0]),
    }


def _mask_from(attributes: Mapping[str, str], size: tuple[int, int]) -> np.ndarray:
    names = ('top', 'left', 'height', 'width')
    top, left, height, width = (int(attributes[name]) for name in names)
    runs = np.array([int(run) for run in attributes['rle'].split(',')], dtype=np.int64)
    fits = min(top, left) >= 0 and top + height <= size[0] and left + width <= size[1]
    if not fits or runs.min() < 0 or runs.max() > height * width or runs.sum() != height * width:
        raise ValueError(f'a mask that does not fit into {size[1]} x {size[0]} pixels')
    mask = np.zeros(size, bool)
    values = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    mask[top : top + height, left : left + width] = values.reshape(height, width)
    return mask


def _check_shape(shape: Xml.Element) -> None:
    if shape.tag != 'mask':
        raise UserError(
            f'{FILE}: expected masks, got <{shape.tag:.40}>; convert other shapes to masks in CVAT'
        )


def _write(path: Path, root: Xml.Element) -> None:
    Xml.indent(root)
    write_bytes_atomically(path, Xml.tostring(root, encoding='utf-8', xml_declaration=True))


def _read(path: Path) -> Xml.Element:
    if not path.is_file():
        raise FileNotFoundError(f'{path.name}: expected a file of annotations, got none')
    content = path.read_bytes()
    if b'<!DOCTYPE' in content or b'<!ENTITY' in content or b'\0' in content:
        raise UserError(f'{FILE}: expected plain UTF-8 XML without a DOCTYPE, got another kind')
    try:
        return Xml.fromstring(content)
    except Xml.ParseError as error:
        raise UserError(f'{FILE}: expected XML, got something else ({error!s:.100})') from None
