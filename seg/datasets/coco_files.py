"""What the COCO-format readers share: checked JSON and class lists with things first."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from seg.datasets.imaging import read_image
from seg.datasets.index import digest_file
from seg.datasets.json_fields import (
    COLOR,
    FLAG,
    IDENTITY,
    INTEGER,
    LIST,
    SIDE,
    TEXT,
    Fields,
    check_fields,
    require,
)
from seg.utils.checks import UserError, unknown_name_message
from seg.visualization.palettes import class_palette

IMAGE_FIELDS: Fields = {'id': IDENTITY, 'file_name': TEXT, 'height': SIDE, 'width': SIDE}
"""What an entry of the list ``images`` must have."""

CATEGORY_FIELDS: Fields = {'name': TEXT, 'id': INTEGER}
CATEGORY_OPTIONS: Fields = {'color': COLOR}
"""What an entry of the list ``categories`` must and may have."""

CROWD: Fields = {'iscrowd': FLAG}


@dataclass(frozen=True)
class CocoCategories:
    """Classes of an annotation file: things first, each part in the order of its ids.

    For COCO itself this is the official order of 80 things and 53 stuff classes.

    Attributes:
        names: Class names.
        ids: The file's id of each class.
        num_things: How many of them are countable.
        palette: An RGB colour per class.
    """

    names: tuple[str, ...]
    ids: tuple[int, ...]
    num_things: int
    palette: tuple[tuple[int, int, int], ...]

    @property
    def labels(self) -> dict[int, int]:
        """From the file's id to the contiguous label."""
        return {category_id: label for label, category_id in enumerate(self.ids)}

    @property
    def metainfo(self) -> dict[str, Any]:
        """What ``dataset.metainfo`` says about the classes."""
        return {
            'classes': self.names,
            'num_things': self.num_things,
            'palette': [tuple(color) for color in self.palette],
            'category_ids': self.ids,
        }

    @classmethod
    def all_things(
        cls,
        categories: Sequence[Mapping[str, Any]],
        source: Path,
        classes: Sequence[str] | None = None,
    ) -> CocoCategories:
        """Read the field ``categories`` of a format of instances; see :meth:`from_json`."""
        rows = [{**row, 'isthing': 1} if isinstance(row, dict) else row for row in categories]
        return cls.from_json(rows, source, classes)

    @classmethod
    def from_json(
        cls,
        categories: Sequence[Mapping[str, Any]],
        source: Path,
        classes: Sequence[str] | None = None,
    ) -> CocoCategories:
        """Read the field ``categories``.

        Args:
            categories: The field's value.
            source: The file, for messages.
            classes: Names to keep, in this order (things still come first); all by default.

        Raises:
            UserError: If a field is missing or malformed, a name or an id occurs twice, or a name
                in ``classes`` is unknown.
        """
        rows = []
        for place, category in enumerate(categories):
            fields = {**CATEGORY_FIELDS, 'isthing': FLAG}
            check_fields(category, fields, source, f'categories[{place}]', CATEGORY_OPTIONS)
            name, category_id, isthing = (category[key] for key in ('name', 'id', 'isthing'))
            rows.append((name, int(category_id), bool(isthing), category.get('color')))
        _check_unique(rows, source)
        rows.sort(key=lambda row: row[1])
        if classes is not None:
            by_name = {row[0]: row for row in rows}
            for name in classes:
                if name not in by_name:
                    raise UserError(f'{source}: {unknown_name_message("class", name, by_name)}')
            rows = [by_name[name] for name in classes]
        rows.sort(key=lambda row: not row[2])  # stable: the order within things and stuff stays
        spare = class_palette(len(rows))
        return cls(
            names=tuple(row[0] for row in rows),
            ids=tuple(row[1] for row in rows),
            num_things=sum(row[2] for row in rows),
            palette=tuple(
                tuple(row[3]) if row[3] is not None else color
                for row, color in zip(rows, spare, strict=True)
            ),
        )


def _check_unique(rows: Sequence[tuple[str, int, bool, Any]], source: Path) -> None:
    if not rows:
        raise UserError(
            f'{source}: expected at least one category, got an empty list in the field '
            "'categories'; export the annotations with their classes"
        )
    columns: dict[str, list[str | int]] = {
        'name': [row[0] for row in rows],
        'id': [row[1] for row in rows],
    }
    for kind, values in columns.items():
        twice = [value for value, times in Counter(values).items() if times > 1]
        if twice:
            raise UserError(
                f'{source}: expected every category {kind} once, got {twice} more than once in '
                "the field 'categories'; rename or merge them"
            )


def digest_annotations(path: Path) -> str:
    """Digest of the content of an annotation file.

    Raises:
        FileNotFoundError: If there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f'{path}: expected an annotation file in COCO format, got a path without a file; '
            'check data_root and ann_file'
        )
    return digest_file(path)


def has_any(flags: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Which images have a flagged annotation, (S,), bool.

    Args:
        flags: One per annotation, bool.
        offsets: Image ``i`` has the annotations ``offsets[i]:offsets[i + 1]``, (S + 1,).
    """
    total = np.concatenate([[0], np.cumsum(flags)])
    return total[offsets[1:]] > total[offsets[:-1]]


def usable_rows(keep: np.ndarray, source: Path) -> np.ndarray:
    """Rows of an index that become samples.

    Args:
        keep: Which do, (S,), bool.
        source: The annotation file, for messages.

    Raises:
        UserError: If none do.
    """
    rows = np.flatnonzero(keep)
    if not len(rows):
        raise UserError(
            f'{source}: expected at least one usable image, got none of {len(keep)}; check the '
            'annotations, classes, min_size and filter_empty'
        )
    return rows


def read_coco_json(path: Path, images: str = 'images') -> dict[str, Any]:
    """Read an annotation file and check that it has images, annotations and categories.

    Files of videos may lack annotations (null or left out), as those published for tests do.

    Args:
        path: The file.
        images: Field that lists the images; ``'videos'`` in formats of videos.

    Raises:
        UserError: If it is no JSON, or a part is missing.
    """
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested lists
        raise UserError(
            f'{path}: expected JSON, got a file that cannot be parsed ({error}); '
            'copy or download it again'
        ) from None
    if not isinstance(content, dict):
        raise UserError(
            f'{path}: expected a JSON object in COCO format, got a {type(content).__name__}; '
            f'give the file with {images}, annotations and categories'
        )
    if images == 'videos' and content.get('annotations') is None:
        content['annotations'] = []
    for key in (images, 'annotations', 'categories'):
        require(content, key, path, 'the file', LIST)
    return content


def read_named_image(path: Path, source: Path, image_id: Any) -> np.ndarray:
    """Read an image that an annotation file names, (H, W, 3), uint8, RGB.

    Args:
        path: The image.
        source: The annotation file, for messages.
        image_id: Its id of the image, for messages.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is broken, see :func:`~seg.datasets.imaging.read_image`.
    """
    named = f'named by {source}, image {image_id}'
    try:
        return read_image(path)
    except FileNotFoundError as error:
        raise FileNotFoundError(f'{error}; {named}') from None
    except UserError as error:
        raise UserError(f'{error}; {named}') from None


def check_image_size(
    path: Path | str, got: Sequence[int], expected: Sequence[int], source: Path | str
) -> None:
    """Compare a file's size with what its annotation says, both (H, W).

    Raises:
        UserError: If they differ.
    """
    if tuple(got) != tuple(expected):
        raise UserError(
            f'{path}: expected height x width {expected[0]} x {expected[1]} as in {source}, got '
            f'{got[0]} x {got[1]}; the image was resized or turned after it was annotated '
            '(EXIF rotation is ignored)'
        )
