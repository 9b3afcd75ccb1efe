"""Files that other tools read: exports of annotations and their way back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from seg.apis.annotation.formats.coco import (
    export_coco,
    export_panoptic,
    import_coco,
    import_panoptic,
)
from seg.apis.annotation.formats.cvat import (
    export_cvat_images,
    export_cvat_video,
    import_cvat_images,
    import_cvat_video,
)
from seg.apis.annotation.formats.davis import export_davis, import_davis
from seg.apis.annotation.formats.label_studio import export_label_studio, import_label_studio
from seg.apis.annotation.formats.records import MediaRecord, ObjectRecord, seen_only
from seg.apis.annotation.formats.supervision_detections import from_detections, to_detections
from seg.apis.annotation.formats.youtube_vis import export_youtube_vis, import_youtube_vis
from seg.utils.checks import UserError, unknown_name_message


@dataclass(frozen=True)
class Format:
    """A format of annotation files.

    Attributes:
        title: What people call it.
        export: Writes records into a folder, pictures included.
        read: Reads what it wrote.
    """

    title: str
    export: Callable[[Sequence[MediaRecord], Path], None]
    read: Callable[[Path], list[MediaRecord]]


FORMATS = {
    'coco': Format('COCO instances', export_coco, import_coco),
    'coco_panoptic': Format('COCO panoptic', export_panoptic, import_panoptic),
    'youtube_vis': Format('YouTube-VIS', export_youtube_vis, import_youtube_vis),
    'davis': Format('DAVIS 2017', export_davis, import_davis),
    'label_studio': Format('Label Studio', export_label_studio, import_label_studio),
    'cvat_images': Format('CVAT images 1.1', export_cvat_images, import_cvat_images),
    'cvat_video': Format('CVAT video 1.1', export_cvat_video, import_cvat_video),
}


def find_format(name: str) -> Format:
    """A format by its name.

    Raises:
        UserError: If there is none.
    """
    if name not in FORMATS:
        raise UserError(unknown_name_message('format', str(name)[:40], FORMATS))
    return FORMATS[name]


def export_annotations(records: Sequence[MediaRecord], name: str, folder: str | Path) -> None:
    """Write annotations with their pictures.

    Args:
        records: With frames.
        name: A key of :data:`FORMATS`.
        folder: A new or empty folder.

    Raises:
        UserError: If the format is unknown, cannot hold the records, or the folder has files.
    """
    chosen, target = find_format(name), Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f'{target.name}: expected a new or empty folder, got one with files')
    if not records:
        raise UserError('export: expected at least one image or video, got none')
    chosen.export([seen_only(record) for record in records], target)


def import_annotations(name: str, folder: str | Path) -> list[MediaRecord]:
    """Read annotations.

    Args:
        name: A key of :data:`FORMATS`.
        folder: With the files that :func:`export_annotations` writes; pictures are not needed.

    Raises:
        FileNotFoundError: If a file is missing.
        UserError: If the format is unknown, or a file is malformed.
    """
    return find_format(name).read(Path(folder))


__all__ = [
    'FORMATS',
    'Format',
    'MediaRecord',
    'ObjectRecord',
    'export_annotations',
    'find_format',
    'from_detections',
    'import_annotations',
    'seen_only',
    'to_detections',
]
