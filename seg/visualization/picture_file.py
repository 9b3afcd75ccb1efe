"""Pictures into files, complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp')


def write_picture(path: str | os.PathLike[str], image: np.ndarray) -> Path:
    """Write an image; the suffix chooses the format.

    Args:
        path: Ends in .png, .jpg, .jpeg or .webp; its folder is made if it is missing.
        image: (H, W, 3), uint8, RGB.

    Returns:
        The path.

    Raises:
        UserError: If the suffix is unknown.
        OSError: If the file cannot be written; what was there before stays.
    """
    path = Path(path)
    check_picture_suffix(path)
    encoded, data = cv2.imencode(path.suffix.lower(), image[..., ::-1])
    assert encoded, f'OpenCV could not encode {path.suffix}'
    write_bytes_atomically(path, data.tobytes())
    return path


def check_picture_suffix(path: Path) -> None:
    """Refuse names that no picture format belongs to.

    Raises:
        UserError: If the suffix is unknown.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise UserError(
            f'{path}: expected a picture name ending in {", ".join(PICTURE_SUFFIXES)}, '
            f'got {path.suffix or "no suffix"!r}'
        )
