"""Checks of COCO panoptic and COCO instances that go on after a fault."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.checks.annotation_file import AnnotationFile, Row, check_picture
from seg.datasets.checks.fault import Fault, FaultKind
from seg.datasets.cityscapes import city_image_file
from seg.datasets.coco_files import CROWD
from seg.datasets.coco_instance import ANNOTATION_FIELDS as INSTANCE_FIELDS
from seg.datasets.coco_instance import ANNOTATION_OPTIONS as INSTANCE_OPTIONS
from seg.datasets.coco_instance import decode_segmentation
from seg.datasets.coco_panoptic import ANNOTATION_FIELDS as PANOPTIC_FIELDS
from seg.datasets.coco_panoptic import SEGMENT_FIELDS
from seg.datasets.json_fields import FLAG, IDENTITY, INTEGER
from seg.structures.panoptic_ids import decode_panoptic
from seg.utils.checks import UserError


class CocoPanopticCheck:
    """The annotation file, images and PNG files of a data set in COCO panoptic format.

    Args:
        ann_file: JSON file in COCO panoptic format.
        img_dir: Folder of the images.
        seg_dir: Folder of the PNG files.
    """

    def __init__(self, ann_file: str | Path, img_dir: str | Path, seg_dir: str | Path) -> None:
        self.img_dir, self.seg_dir = Path(img_dir), Path(seg_dir)
        self.file = AnnotationFile(ann_file)
        categories = self.file.categories({'isthing': FLAG})
        self.images = self.file.images()
        rows = self.file.rows('annotations', 'annotation', PANOPTIC_FIELDS)
        self.file.unique(rows, 'image_id', 'annotations')
        self.annotations = [row for row in rows if self._check(row, categories)]

    def _check(self, annotation: Row, categories: set[int]) -> bool:
        """Look at the entries of one image; whether its files can be compared with them."""
        image = annotation['image_id']
        where = f'the annotation of image {image}'
        seen: set[int] = set()
        for place, segment in enumerate(annotation['segments_info']):
            entry = f'segments_info[{place}] in {where}'
            if not self.file.is_good(segment, SEGMENT_FIELDS, entry, CROWD):
                continue
            name = f'segment {segment["id"]} in {where}'
            self.file.known_category(segment, categories, name)
            if segment['id'] in seen:
                message = f'expected every segment id once in {where}, got {segment["id"]} twice'
                self.file.note(FaultKind.DUPLICATE_ID, message)
            seen.add(segment['id'])
        return self.file.known_image(annotation, self.images, where)

    def faults(self) -> Sequence[Fault]:
        """Faults of the annotation file."""
        return self.file.faults

    def __len__(self) -> int:
        """Number of annotated images."""
        return len(self.annotations)

    def image_file(self, image: Row) -> str:
        """Path of an image below ``img_dir``."""
        return image['file_name']

    def part_faults(self, part: int) -> Sequence[Fault]:
        """Faults of one image and its PNG file."""
        annotation = self.annotations[part]
        image = self.images[annotation['image_id']]
        size = image['height'], image['width']
        try:
            name = self.image_file(image)
        except UserError as error:
            found = [Fault.of_error(error, self.file.path)]
        else:
            _, found = check_picture(self.img_dir / name, size, self.file.path)
        path = self.seg_dir / annotation['file_name']
        picture, faults = check_picture(path, size, self.file.path)
        found += faults
        if picture is None:
            return found
        drawn = set(np.unique(decode_panoptic(picture)).tolist()) - {0}
        entries = [row for row in annotation['segments_info'] if isinstance(row, Mapping)]
        listed = {row['id'] for row in entries if INTEGER.accepts(row.get('id'))}
        for segment in sorted(drawn - listed):
            message = (
                f'expected only ids that segments_info of {self.file.path} lists, got {segment}; '
                'the PNG belongs to other annotations, or was saved with a loss'
            )
            found.append(Fault(FaultKind.UNLISTED_ID, str(path), message))
        for segment in sorted(listed - drawn):
            message = (
                f'expected pixels of segment {segment} of {self.file.path}, got none; remove the '
                'segment or save the PNG again'
            )
            found.append(Fault(FaultKind.EMPTY_MASK, str(path), message))
        return found


class CityscapesCheck(CocoPanopticCheck):
    """The same for Cityscapes, whose images are named by their ids."""

    def image_file(self, image: Row) -> str:
        """Path of an image below ``img_dir``."""
        return city_image_file(image['id'], self.file.path)


class CocoInstanceCheck:
    """The annotation file and images of a data set in COCO instance format.

    Args:
        ann_file: JSON file in COCO instance format.
        img_dir: Folder of the images.
    """

    def __init__(self, ann_file: str | Path, img_dir: str | Path) -> None:
        self.img_dir = Path(img_dir)
        self.file = AnnotationFile(ann_file)
        categories = self.file.categories()
        self.images = list(self.file.images().values())
        by_id = {image['id']: image for image in self.images}
        rows = self.file.rows('annotations', 'annotation', INSTANCE_FIELDS, INSTANCE_OPTIONS)
        self.file.unique([r for r in rows if IDENTITY.accepts(r.get('id'))], 'id', 'annotations')
        self.annotations: dict[Any, list[Row]] = {image_id: [] for image_id in by_id}
        for row in rows:
            where = _name(row)
            self.file.known_category(row, categories, where)
            if self.file.known_image(row, by_id, where):
                self.annotations[row['image_id']].append(row)

    def faults(self) -> Sequence[Fault]:
        """Faults of the annotation file."""
        return self.file.faults

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def part_faults(self, part: int) -> Sequence[Fault]:
        """Faults of one image and its masks."""
        image = self.images[part]
        size = image['height'], image['width']
        _, found = check_picture(self.img_dir / image['file_name'], size, self.file.path)
        for row in self.annotations[image['id']]:
            found += mask_faults(row['segmentation'], size, self.file.path, _name(row))
        return found


def mask_faults(code: Any, size: Sequence[int], source: Path, where: str) -> list[Fault]:
    """What is wrong with the mask of an annotation.

    Args:
        code: Polygons or a run-length code.
        size: (H, W) of the image.
        source: The annotation file.
        where: The annotation.
    """
    try:
        if decode_segmentation(code, size, f'{source}: {where}').any():
            return []
    except UserError as error:
        fault = Fault.of_error(error)
        return [Fault(fault.kind, str(source), f'{where}: {fault.message}')]
    message = f'expected pixels of {where}, got an empty mask; remove it or draw its mask again'
    return [Fault(FaultKind.EMPTY_MASK, str(source), message)]


def _name(row: Mapping[str, Any]) -> str:
    return f'annotation {row.get("id", "without id")} of image {row["image_id"]}'
