"""Annotation files in COCO's formats, read as far as they go, with notes of all that is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.checks.fault import Fault, FaultKind
from seg.datasets.coco_files import digest_annotations, read_coco_json
from seg.datasets.imaging import read_image
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

    def rows(self, field: str, required: Iterable[str]) -> list[Row]:
        """Objects of a list that have some fields; the others are noted."""
        rows = self.content.get(field, [])
        return [
            row
            for place, row in enumerate(rows)
            if self.has_fields(row, required, f'{field}[{place}]')
        ]

    def has_fields(self, row: Any, required: Iterable[str], where: str) -> bool:
        """Whether a value is an object with some fields; noted if not."""
        fields = sorted(row) if isinstance(row, dict) else []
        missing = [key for key in required if key not in fields]
        if missing or not isinstance(row, dict):
            self.note(
                FaultKind.BAD_ANNOTATION,
                f'expected the fields {missing} in {where}, got {fields or type(row).__name__}; '
                'add them or remove the entry',
            )
            return False
        return True

    def unique(self, rows: Sequence[Row], key: str, field: str) -> None:
        """Note values of a field that several rows have."""
        counts = Counter(row[key] for row in rows if isinstance(row[key], (int, str)))
        for value, times in counts.items():
            if times > 1:
                self.note(
                    FaultKind.DUPLICATE_ID,
                    f'expected every {key} in {field!r} once, got {value!r} {times} times; rename '
                    'or remove the repeated ones',
                )

    def categories(self, required: Iterable[str] = ('id', 'name')) -> set[int]:
        """Ids of the categories."""
        rows = self.rows('categories', required)
        self.unique(rows, 'id', 'categories')
        self.unique(rows, 'name', 'categories')
        return {row['id'] for row in rows}

    def images(self, field: str = 'images', name: str = 'file_name') -> dict[Any, Row]:
        """Images, or videos, by id."""
        rows = self.rows(field, ('id', name, 'height', 'width'))
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
