"""What the writers share: files of images and ids, categories, run-length codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from seg.datasets.class_info import ClassInfo
from seg.datasets.label_space import LabelSpace
from seg.datasets.shapes import SHAPES_PALETTE, SHAPES_STUFF, SHAPES_THINGS, ShapesSample
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError
from seg.utils.json_text import json_text

CLASSES = SHAPES_THINGS + SHAPES_STUFF
_INFOS = tuple(
    ClassInfo(name, (name,), SHAPES_PALETTE[label], label + 1) for label, name in enumerate(CLASSES)
)
SHAPES_SPACE = LabelSpace('shapes', _INFOS[: len(SHAPES_THINGS)], _INFOS[len(SHAPES_THINGS) :])
"""The classes of Shapes; the category id of label ``k`` is ``k + 1``."""

JPEG_QUALITY = 95


class ShapesWriter(ABC):
    """Writes samples of Shapes in the on-disk layout of one data set.

    Samples are added one by one, then every split is finished.

    Args:
        root: Folder of the data set.
        label_space: Classes that the files name; the first things and stuff stand for those of
            Shapes. By default the classes of Shapes.

    Attributes:
        is_video: Whether samples are clips.
        names_classes: Whether the files name their classes, so that there is a choice of them.
        classes: What the classes of Shapes are called in this layout, for those whose class list
            is fixed; ``None`` where the files carry the names of Shapes.
    """

    is_video = False
    names_classes = False
    classes: tuple[str, ...] | None = None

    def __init__(self, root: Path, label_space: LabelSpace = SHAPES_SPACE) -> None:
        self.root = root
        self.label_space = label_space
        self.category_ids = tuple(info.category_id for info in stand_ins(label_space))

    @abstractmethod
    def add(self, split: str, index: int, sample: ShapesSample) -> None:
        """Write one sample.

        Args:
            split: ``'train'`` or ``'val'``.
            index: Number of the sample within its split, from 0 on.
            sample: What to write.
        """

    @abstractmethod
    def finish(self, split: str) -> None:
        """Write what is said once about all samples of a split."""


def write_jpeg(path: Path, image: np.ndarray) -> None:
    """Write an image (H, W, 3), uint8, RGB, with little loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=JPEG_QUALITY, subsampling=0)


def write_png(path: Path, image: np.ndarray | Image.Image) -> None:
    """Write an image or a map of ids without loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = image if isinstance(image, Image.Image) else Image.fromarray(image)
    picture.save(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    write_bytes_atomically(path, text.encode())


def write_annotations(path: Path, content: Any) -> None:
    """Write a JSON file."""
    write_text(path, json_text(content))


def stand_ins(space: LabelSpace) -> tuple[ClassInfo, ...]:
    """The classes that stand for those of Shapes, in the order of its labels.

    Raises:
        UserError: If there are not enough things, or some stuff but not enough.
    """
    things, stuff = space.things[: len(SHAPES_THINGS)], space.stuff[: len(SHAPES_STUFF)]
    if len(things) < len(SHAPES_THINGS) or 0 < len(stuff) < len(SHAPES_STUFF):
        raise UserError(
            f'label space {space.name!r}: expected at least {len(SHAPES_THINGS)} things and '
            f'{len(SHAPES_STUFF)} or no stuff classes to stand for those of Shapes, got '
            f'{len(things)} and {len(stuff)}; choose another'
        )
    return things + stuff


def categories_of(space: LabelSpace, things_only: bool = False) -> list[dict[str, Any]]:
    """The classes of a label space in COCO's form."""
    return [
        {
            'id': info.category_id,
            'name': info.name,
            'supercategory': 'thing' if label < space.num_things else 'stuff',
            'isthing': int(label < space.num_things),
            'color': list(info.color),
        }
        for label, info in enumerate(space.things if things_only else space.classes)
    ]


def run_length_code(mask: np.ndarray) -> dict[str, Any]:
    """COCO's compressed run-length code of a mask (H, W)."""
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {'size': [int(side) for side in code['size']], 'counts': code['counts'].decode()}


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed run-length code of a mask (H, W)."""
    values = mask.ravel(order='F')
    changes = np.flatnonzero(np.diff(values, prepend=False))
    counts = np.diff(np.concatenate([[0], changes, [values.size]]))
    return {'size': list(mask.shape), 'counts': counts.tolist()}


def box_of(mask: np.ndarray) -> list[int]:
    """Box (x, y, width, height) around a mask (H, W) that is not empty, pixels."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return [left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1]


def things_of(sample: ShapesSample) -> list[int]:
    """Rows of the countable segments."""
    return np.flatnonzero(sample.is_thing).tolist()


def relabeled(sample: ShapesSample, values: Sequence[int]) -> np.ndarray:
    """The segment map with a value for each segment instead of its number.

    Args:
        sample: A sample of N segments.
        values: Value of each segment, length N.

    Returns:
        (T, H, W), int32.
    """
    return np.array([0, *values], dtype=np.int32)[sample.segment_map]
