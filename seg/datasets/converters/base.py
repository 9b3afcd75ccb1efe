"""What the writers share: files of images and ids, categories, run-length codes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco_mask

from seg.datasets.shapes import SHAPES_PALETTE, SHAPES_STUFF, SHAPES_THINGS, ShapesSample
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.json_text import json_text

CLASSES = SHAPES_THINGS + SHAPES_STUFF
JPEG_QUALITY = 95


class ShapesWriter(ABC):
    """Writes samples of Shapes in the on-disk layout of one data set.

    Samples are added one by one, then every split is finished.

    Args:
        root: Folder of the data set.

    Attributes:
        is_video: Whether samples are clips.
        classes: What the classes of Shapes are called in this layout, for those whose class list
            is fixed; ``None`` where the files carry the names of Shapes.
    """

    is_video = False
    classes: tuple[str, ...] | None = None

    def __init__(self, root: Path) -> None:
        self.root = root

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


def shapes_categories(things_only: bool = False) -> list[dict[str, Any]]:
    """The classes of Shapes in COCO's form; the id of label ``k`` is ``k + 1``."""
    return [
        {
            'id': label + 1,
            'name': name,
            'supercategory': 'thing' if label < len(SHAPES_THINGS) else 'stuff',
            'isthing': int(label < len(SHAPES_THINGS)),
            'color': list(SHAPES_PALETTE[label]),
        }
        for label, name in enumerate(SHAPES_THINGS if things_only else CLASSES)
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
