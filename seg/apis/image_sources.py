"""Images that a user may give: arrays, files and folders."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seg.utils.checks import UserError

IMAGE_SUFFIXES = ('.bmp', '.jpeg', '.jpg', '.png', '.tif', '.tiff', '.webp')

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
    found = sorted(
        entry
        for entry in path.iterdir()
        if entry.suffix.lower() in IMAGE_SUFFIXES
        and entry.is_file()
        and not entry.name.startswith('.')
    )
    if not found:
        raise UserError(
            f'input {path}: expected a folder with images ({", ".join(IMAGE_SUFFIXES)}), got one '
            'without any; images in subfolders are not read'
        )
    return list(found)


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
