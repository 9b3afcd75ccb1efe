"""Pictures into files, complete or not at all."""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError

PICTURE_SUFFIXES = ('.png', '.jpg', '.jpeg', '.webp')

_LONGEST_SIDE = {'.jpg': 65500, '.jpeg': 65500, '.webp': 16383}


def write_picture(path: str | os.PathLike[str], image: np.ndarray) -> Path:
    """Write an image; the suffix chooses the format.

    Args:
        path: Ends in .png, .jpg, .jpeg or .webp; its folder is made if it is missing.
        image: (H, W, 3), uint8, RGB.

    Returns:
        The path.

    Raises:
        UserError: If the suffix is unknown or the image is too large for its format.
        OSError: If the file cannot be written; what was there before stays.
    """
    path = Path(path)
    check_picture_suffix(path)
    write_bytes_atomically(path, _encode(path, image))
    return path


def _encode(path: Path, image: np.ndarray) -> bytes:
    suffix = path.suffix.lower()
    height, width = image.shape[:2]
    limit = _LONGEST_SIDE.get(suffix)
    if limit is not None and max(height, width) > limit:
        raise UserError(
            f'{path}: expected an image of at most {limit} pixels a side for {suffix}, got '
            f'{height}x{width}; write it as .png or make it smaller'
        )
    try:
        encoded, data = cv2.imencode(suffix, image[..., ::-1])
    except cv2.error:
        encoded = False
    if not encoded:
        raise UserError(
            f'{path}: expected an image that OpenCV can write as {suffix}, got {height}x{width} '
            f'of {image.dtype}; use another format or a smaller image'
        )
    return data.tobytes()


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
