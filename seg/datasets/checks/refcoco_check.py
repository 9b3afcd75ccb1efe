"""A check of RefCOCO, RefCOCO+ and RefCOCOg that goes on after a fault."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from seg.datasets.checks.annotation_file import AnnotationFile, Row, check_picture
from seg.datasets.checks.coco_checks import mask_faults
from seg.datasets.checks.fault import Fault, FaultKind
from seg.datasets.refcoco import ANNOTATION_FIELDS
from seg.datasets.referring_files import read_refs
from seg.utils.checks import UserError


class RefCocoCheck:
    """The refs of one split, and the annotations and images that they name.

    Args:
        refs_file: The refs file.
        ann_file: ``instances.json`` beside it.
        img_dir: Folder of the images.
        split: Which refs.
        image_template: Name of an image, with its ``id``; by default its ``file_name``.
    """

    def __init__(
        self,
        refs_file: str | Path,
        ann_file: str | Path,
        img_dir: str | Path,
        split: str,
        image_template: str | None = None,
    ) -> None:
        self.refs_file, self.img_dir = Path(refs_file), Path(img_dir)
        self.image_template = image_template
        self.file = AnnotationFile(ann_file)
        categories = self.file.categories()
        self.images = self.file.images()
        rows = self.file.rows('annotations', 'annotation', ANNOTATION_FIELDS)
        self.file.unique(rows, 'id', 'annotations')
        for row in rows:
            self.file.known_category(row, categories, f'annotation {row["id"]}')
        known = {row['id']: row for row in rows}
        self.of_image: dict[Any, dict[Any, Row]] = {}
        for ref in self._refs(split):
            if self._is_known(ref, known):
                named = self.of_image.setdefault(ref['image_id'], {})
                named[ref['ann_id']] = known[ref['ann_id']]
        self.parts = list(self.of_image)

    def _refs(self, split: str) -> list[Row]:
        try:
            refs = read_refs(self.refs_file)
        except (UserError, OSError) as error:
            self.file.faults.append(Fault.of_error(error, self.refs_file))
            return []
        seen: set[Any] = set()
        for ref in refs:
            if ref['ref_id'] in seen:
                message = f'expected every ref_id once, got {ref["ref_id"]} several times'
                self._note(FaultKind.DUPLICATE_ID, message)
            seen.add(ref['ref_id'])
        chosen = [ref for ref in refs if ref['split'] == split]
        if not chosen:
            known = sorted({str(ref['split']) for ref in refs})
            self._note(
                FaultKind.BAD_ANNOTATION, f'expected refs of {split!r}, got those of {known}'
            )
        return chosen

    def _is_known(self, ref: Row, annotations: dict[Any, Row]) -> bool:
        """Whether the files have what a ref names; noted if not."""
        missing = [
            f'{key} {ref[key]}'
            for key, known in (('image_id', self.images), ('ann_id', annotations))
            if ref[key] not in known
        ]
        if missing:
            message = (
                f'expected what ref {ref["ref_id"]} names in {self.file.path}, got no '
                f'{" and no ".join(missing)}; use the two files of one data set'
            )
            self._note(FaultKind.BAD_ANNOTATION, message)
        return not missing

    def _note(self, kind: FaultKind, message: str) -> None:
        self.file.faults.append(Fault(kind, str(self.refs_file), message))

    def faults(self) -> Sequence[Fault]:
        """Faults of the two annotation files."""
        return self.file.faults

    def __len__(self) -> int:
        """Number of images with refs."""
        return len(self.parts)

    def part_faults(self, part: int) -> Sequence[Fault]:
        """Faults of one image and of the masks that its refs name."""
        image = self.images[self.parts[part]]
        size, name = (image['height'], image['width']), image['file_name']
        if self.image_template is not None:
            name = self.image_template.format(id=image['id'])
        _, found = check_picture(self.img_dir / name, size, self.file.path)
        for object_id, row in self.of_image[image['id']].items():
            where = f'annotation {object_id}'
            found += mask_faults(row['segmentation'], size, self.file.path, where)
        return found
