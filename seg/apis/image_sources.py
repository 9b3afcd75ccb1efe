"""Images that a user may give: arrays, files and folders."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seg.datasets.index import IMAGE_SUFFIXES
from seg.utils.checks import UserError

ImageSource = str | os.PathLike[str] | np.ndarray


def list_sources(inputs: ImageSource | Sequence[ImageSource]) -> list[Path | np.ndarray]:
    """The images that ``inputs`` stands for, in order; see :meth:`~seg.apis.Inferencer.__call__`.

    Raises:
        FileNotFoundError: If a file or folder is missing.
        UserError: If there is no image.
    """
    if isinstance(inputs, np.ndarray):
        return [inputs]
    if not isinstance(inputs, (str, os.PathLike)):
        return [source for item in inputs for source in list_sources(item)]
    path = Path(inputs)
    if not path.exists():
        raise FileNotFoundError(
            f'input {path}: expected an image or a folder of images, found nothing there'
        )
    if not path.is_dir():
        return [path]
    found = pictures_in(path)
    if not found:
        raise UserError(
            f'input {path}: expected a folder with images ({", ".join(IMAGE_SUFFIXES)}), got one '
            'without any; images in subfolders are not read'
        )
    return list(found)


def pictures_in(folder: Path) -> list[Path]:
    """The images in a folder as people count them, 9 before 10; hidden files are left out."""
    return sorted(
        (
            entry
            for entry in folder.iterdir()
            if entry.suffix.lower() in IMAGE_SUFFIXES
            and entry.is_file()
            and not entry.name.startswith('.')
        ),
        key=lambda path: (_with_numbers(path.name), path.name),
    )


def names_of(paths: Sequence[Path]) -> list[str]:
    """A name for each picture: that of its file, with the suffix where two share a stem."""
    shared = Counter(path.stem for path in paths)
    return [path.stem if shared[path.stem] == 1 else path.name.replace('.', '_') for path in paths]


def _with_numbers(name: str) -> list[tuple[int, str]]:
    """What a name is sorted by: texts and numbers in turns."""
    parts = re.split('([0-9]+)', name)
    return [(int(part), '') if i % 2 else (0, part) for i, part in enumerate(parts)]


def check_image(image: np.ndarray) -> tuple[int, int]:
    """The size (H, W) of an image array.

    Raises:
        UserError: If it is no RGB image of bytes.
    """
    if not isinstance(image, np.ndarray):
        raise UserError(
            f'image: expected an array (H, W, 3), uint8, RGB, got a {type(image).__name__}; '
            'np.asarray makes one of a picture of PIL'
        )
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise UserError(
            f'image: expected (H, W, 3) uint8 RGB, got {image.shape} {image.dtype}; '
            'read files with seg.datasets.imaging.read_image'
        )
    return image.shape[0], image.shape[1]
