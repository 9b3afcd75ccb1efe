"""Annotation files in COCO's formats, read as far as they go, with notes of all that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.checks.fault import Fault, FaultKind
from seg.datasets.coco_files import (
    CATEGORY_FIELDS,
    CATEGORY_OPTIONS,
    IMAGE_FIELDS,
    digest_annotations,
    read_coco_json,
)
from seg.datasets.imaging import read_image
from seg.datasets.json_fields import Fields, entry_name, field_faults
from seg.utils.checks import UserError

Row = dict[str, Any]


class AnnotationFile:
    """The lists of an annotation file, and its faults.

    Rows with a fault that keeps them from being used are left out of what the methods return.

    Args:
        path: The JSON file.
        images: Field that lists the images, ``'videos'`` in formats of videos.
    """

    def __init__(self, path: str | Path, images: str = 'images') -> None:
        self.path = Path(path)
        self.faults: list[Fault] = []
        self.content: dict[str, Any] = {}
        try:
            digest_annotations(self.path)  # raises if there is no such file
            self.content = read_coco_json(self.path, images)
        except (UserError, OSError) as error:
            self.faults.append(Fault.of_error(error, self.path))

    def note(self, kind: FaultKind, message: str) -> None:
        """Note a fault of this file."""
        self.faults.append(Fault(kind, str(self.path), message))

    def rows(
        self, field: str, what: str, fields: Fields, optional: Fields | None = None
    ) -> list[Row]:
        """Entries of a list whose fields are as they should be; the others are noted.

        Args:
            field: Name of the list.
            what: What an entry is, such as ``'image'``.
            fields: What it must have.
            optional: What it may have.
        """
        return [
            row
            for place, row in enumerate(self.content.get(field, []))
            if self.is_good(row, fields, entry_name(row, what, field, place), optional)
        ]

    def is_good(self, row: Any, fields: Fields, where: str, optional: Fields | None = None) -> bool:
        """Whether the fields of an entry are as they should be; noted if not."""
        faults = list(field_faults(row, fields, where, optional))
        for fault in faults:
            self.note(FaultKind.BAD_ANNOTATION, f'{fault}; mend or remove the entry')
        return not faults

    def unique(self, rows: Sequence[Row], key: str, field: str) -> None:
        """Note values of a field that several rows have."""
        counts = Counter(row[key] for row in rows)
        for value, times in counts.items():
            if times > 1:
                self.note(
                    FaultKind.DUPLICATE_ID,
                    f'expected every {key} in {field!r} once, got {value!r} {times} times; rename '
                    'or remove the repeated ones',
                )

    def categories(self, further: Fields | None = None) -> set[int]:
        """Ids of the categories.

        Args:
            further: What an entry must have beside its id and name.
        """
        fields = {**CATEGORY_FIELDS, **(further or {})}
        rows = self.rows('categories', 'category', fields, CATEGORY_OPTIONS)
        self.unique(rows, 'id', 'categories')
        self.unique(rows, 'name', 'categories')
        return {row['id'] for row in rows}

    def images(
        self, field: str = 'images', what: str = 'image', fields: Fields = IMAGE_FIELDS
    ) -> dict[Any, Row]:
        """Images, or videos, by id."""
        rows = self.rows(field, what, fields)
        self.unique(rows, 'id', field)
        return {row['id']: row for row in rows}

    def known_category(self, row: Row, categories: Collection[int], where: str) -> bool:
        """Whether the category of a row exists; noted if not."""
        if row['category_id'] in categories:
            return True
        self.note(
            FaultKind.WRONG_CATEGORY,
            f"expected category_id of {where} to be one of the ids in 'categories', got "
            f'{row["category_id"]}; add the category or mend the annotation',
        )
        return False

    def known_image(
        self, row: Row, images: Mapping[Any, Row], where: str, key: str = 'image_id'
    ) -> bool:
        """Whether the image, or video, of a row exists; noted if not."""
        if row[key] in images:
            return True
        self.note(
            FaultKind.BAD_ANNOTATION,
            f'expected {key} of {where} to be a listed one, got {row[key]}; add its entry or '
            'remove the annotation',
        )
        return False


def check_picture(
    path: Path, size: Sequence[int], source: Path
) -> tuple[np.ndarray | None, list[Fault]]:
    """Read an image and compare its size.

    Args:
        path: The image.
        size: (H, W) as annotated.
        source: Where that is written.

    Returns:
        (H, W, 3), uint8, if it can be read and has that size, and what is wrong.
    """
    try:
        image = read_image(path)
    except (UserError, OSError) as error:
        fault = Fault.of_error(error, path)
        return None, [Fault(fault.kind, fault.file, f'{fault.message}; named by {source}')]
    if image.shape[:2] != tuple(size):
        message = (
            f'expected height x width {size[0]} x {size[1]} as in {source}, got {image.shape[0]} '
            f'x {image.shape[1]}; the image was resized or turned after it was annotated'
        )
        return None, [Fault(FaultKind.SIZE_MISMATCH, str(path), message)]
    return image, []
