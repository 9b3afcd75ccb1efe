"""Several pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from seg.visualization.text import Chip, Rect, fit_text, render_text

_PAPER = (250, 250, 250)
_INK = (38, 42, 50)


def contact_sheet(
    images: Sequence[np.ndarray],
    columns: int = 3,
    captions: Sequence[str] | None = None,
    cell_width: int | None = None,
) -> np.ndarray:
    """Lay pictures out in rows, each in its own cell with its caption below.

    Args:
        images: Pictures (H, W, 3), uint8, RGB, of any sizes.
        columns: Pictures per row.
        captions: One line each; cut with an ellipsis where the cell is narrower.
        cell_width: Width of a cell in pixels; the widest picture's, at most 960, when left out.

    Returns:
        The sheet, (H, W, 3), uint8, RGB.

    Raises:
        ValueError: If there is no picture, no column, or the captions do not match.
    """
    if not len(images) or columns < 1:
        raise ValueError(
            f'contact sheet: expected >= 1 picture and >= 1 column, got {len(images)} pictures '
            f'and {columns} columns'
        )
    if captions is not None and len(captions) != len(images):
        raise ValueError(
            f'captions: expected one for each of {len(images)} pictures, got {len(captions)}'
        )
    width = cell_width or min(max(image.shape[1] for image in images), 960)
    fitted = [_fit_width(image, width) for image in images]
    columns = min(columns, len(images))
    gap, font_size = max(6, width // 40), int(np.clip(width // 36, 12, 24))
    texts = [fit_text(text, width, font_size) for text in captions or []]
    text_height = round(font_size * 1.7) if texts else 0

    rows = [fitted[start : start + columns] for start in range(0, len(fitted), columns)]
    heights = [max(image.shape[0] for image in row) + text_height for row in rows]
    sheet = np.full(
        (sum(heights) + gap * (len(rows) + 1), columns * (width + gap) + gap, 3),
        _PAPER,
        dtype=np.uint8,
    )
    for index, image in enumerate(fitted):
        row, column = divmod(index, columns)
        top = gap + sum(heights[:row]) + gap * row
        left = gap + column * (width + gap)
        space = heights[row] - text_height
        top += (space - image.shape[0]) // 2
        sheet[top : top + image.shape[0], left : left + width] = image
        if texts:
            ink = render_text(texts[index], font_size)
            chip = Chip(np.full((*ink.shape, 3), _INK, dtype=np.uint8), ink)
            x = left + (width - ink.shape[1]) // 2
            y = top + image.shape[0] + (text_height - ink.shape[0]) // 2
            chip.paste(sheet, Rect(x, y, ink.shape[1], ink.shape[0]))
    return sheet


def _fit_width(image: np.ndarray, width: int) -> np.ndarray:
    if image.shape[1] == width:
        return image
    size = width, max(1, round(image.shape[0] * width / image.shape[1]))
    shrink = width < image.shape[1]
    return cv2.resize(image, size, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)
