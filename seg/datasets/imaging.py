"""Reading images from files, for data sets, the demo and the API alike."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from seg.utils.checks import UserError

MAX_PIXELS = 178_956_970  # Pillow refuses twice its 2**30 / 4 / 3 "decompression bomb" limit
_WHITE = (255, 255, 255)
_DECODE_ERRORS = (OSError, SyntaxError, ValueError, EOFError, struct.error)


def read_image(
    path: str | Path,
    *,
    exif: bool = False,
    max_pixels: int = MAX_PIXELS,
    backdrop: tuple[int, int, int] = _WHITE,
) -> np.ndarray:
    """Read any image file as 8-bit RGB.

    Grey, palette and CMYK images are converted, and 16-bit ones are scaled by their full range. Of
    an animation the first frame is read.

    Args:
        path: The file.
        exif: Whether to turn the image as its EXIF orientation says. Data sets leave it off, as
            their masks are drawn on the pixels as stored; the demo and the API turn it on.
        max_pixels: Largest height times width to decode.
        backdrop: RGB of what transparent images are laid over; white, as a viewer shows them.

    Returns:
        (H, W, 3), uint8, RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is empty, no image, truncated, too large, or of an unsupported kind.
    """
    with _opened(Path(path), max_pixels) as image:
        upright = ImageOps.exif_transpose(image) if exif else image
        return _to_rgb(Path(path), upright, backdrop)


def read_id_map(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Read a PNG file whose pixel values are ids: grey of 1, 8 or 16 bits, or palette indices.

    Args:
        path: The file.
        max_pixels: Largest height times width to decode.

    Returns:
        (H, W), int32.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is broken, or a picture in colours.
    """
    return read_id_pixels(path, max_pixels=max_pixels).astype(np.int32)


def read_id_pixels(path: str | Path, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """The same in the type that the file is stored in, (H, W), bool or integers.

    Args:
        path: The file.
        max_pixels: Largest height times width to decode.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is broken, or a picture in colours.
    """
    path = Path(path)
    with _opened(path, max_pixels) as image:
        if image.mode not in ('1', 'L', 'P') and not image.mode.startswith('I'):
            raise UserError(
                f'{path}: expected a map of ids (grey of 8 or 16 bits, or a palette), got a '
                f'picture of mode {image.mode}; save one channel of ids, as PNG'
            )
        if image.format == 'JPEG':
            raise UserError(
                f'{path}: expected a map of ids in a file without loss, got JPEG, which changes '
                'ids at borders; save it as PNG'
            )
        return np.asarray(image)


def read_palette(path: str | Path) -> np.ndarray | None:
    """The palette of an image file, without its pixels; ``None`` if it has none.

    Returns:
        (P, 3), uint8, RGB.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is no image.
    """
    path = Path(path)
    _check_file(path)
    try:
        with Image.open(path) as image:
            values = image.getpalette() if image.mode == 'P' else None
    except (*_DECODE_ERRORS, Image.DecompressionBombError) as error:
        raise UserError(f'{path}: expected a readable image, got a broken one ({error})') from None
    return None if values is None else np.array(values, dtype=np.uint8).reshape(-1, 3)


@contextmanager
def _opened(path: Path, max_pixels: int) -> Iterator[Image.Image]:
    """A decoded image; errors name the file."""
    _check_file(path)
    try:
        with Image.open(path) as image:
            _check_size(path, image.size, max_pixels)
            image.load()
            yield image
    except Image.DecompressionBombError:
        raise UserError(_too_large(path, 'more pixels than that', max_pixels)) from None
    except UserError:
        raise
    except _DECODE_ERRORS as error:
        raise UserError(
            f'{path}: expected a readable image (JPEG, PNG, ...), got a broken or foreign file '
            f'({error}); check it in a viewer, or copy or download it again'
        ) from None


def _check_file(path: Path) -> None:
    if not path.exists():
        raise FileNotFoundError(
            f'{path}: expected an image file, got a path that does not exist; check the path'
        )
    if not path.is_file():
        raise UserError(f'{path}: expected an image file, got a folder; name one file')
    if path.stat().st_size == 0:
        raise UserError(
            f'{path}: expected an image, got a file of 0 bytes; copy or download it again'
        )


def _check_size(path: Path, size: tuple[int, int], max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        raise UserError(_too_large(path, f'{width} x {height}', max_pixels))


def _too_large(path: Path, got: str, max_pixels: int) -> str:
    return (
        f'{path}: expected at most {max_pixels} pixels, got {got}; scale the image down first '
        '(a small file can hide an image that fills the memory)'
    )


def _to_rgb(path: Path, image: Image.Image, backdrop: tuple[int, int, int]) -> np.ndarray:
    """Pixels of a loaded image of any mode, (H, W, 3), uint8."""
    mode = image.mode
    if mode == 'RGB':
        return np.array(image)
    if mode.startswith('I'):  # 'I;16', 'I;16B', 'I': grey with 16 bits
        return _grey16_to_rgb(path, np.asarray(image).astype(np.int64))
    if mode == 'F':
        raise UserError(
            f'{path}: expected an image of 8 or 16 bits per channel, got floating-point pixels; '
            'convert it to PNG or JPEG'
        )
    if mode in ('RGBA', 'LA', 'PA', 'RGBa', 'La') or 'transparency' in image.info:
        image = image.convert('RGBA')
        under = Image.new('RGBA', image.size, (*backdrop, 255))
        image = Image.alpha_composite(under, image)
    return np.array(image.convert('RGB'))


def _grey16_to_rgb(path: Path, values: np.ndarray) -> np.ndarray:
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise UserError(
            f'{path}: expected pixels of 0 to 65535, got {values.min()} to {values.max()}; '
            'convert the image to 8 or 16 bits'
        )
    grey = ((values + 128) // 257).astype(np.uint8)  # 65535 / 257 = 255
    return np.repeat(grey[..., None], 3, axis=-1)
