"""What the metrics share: reading samples with named errors, files, tables for the log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from torch import Tensor

from seg.evaluation.functional.pq import VOID
from seg.utils.atomic_write import write_atomically
from seg.utils.checks import UserError


def image_name(sample: Mapping[str, Any]) -> str:
    """How errors name the sample."""
    return f'image {require(sample, "img_id", "sample")}'


def require(entry: Mapping[str, Any] | None, key: str, where: str) -> Any:
    """The value of a key that has to be there.

    Raises:
        ValueError: If it is not, or is ``None``.
    """
    value = None if entry is None else entry.get(key)
    if value is None:
        raise UserError(
            f'{where}: expected {key!r}, got {sorted(entry or {})}; check that the data set and '
            'the head provide what this metric reads'
        )
    return value


def to_array(values: Any) -> np.ndarray:
    """A tensor on any device, or a sequence, as an array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def paint_segments(
    segments: Mapping[str, Any], where: str
) -> tuple[np.ndarray, list[dict[str, Any]]]:
    """Exclusive masks as a map of ids 1..N, with the list of what they are.

    Args:
        segments: ``masks`` (N, T, H, W), ``labels`` and ``is_crowd``; those of unknown class (-1)
            become void.
        where: How errors name the sample.

    Returns:
        The map (T, H, W), int32, 0 for void, and ``id``, ``category_id``, ``iscrowd`` and ``area``
        of each segment.

    Raises:
        ValueError: If something is missing, or masks overlap.
    """
    masks = to_array(require(segments, 'masks', where))
    labels = to_array(require(segments, 'labels', where)).tolist()
    is_crowd = to_array(require(segments, 'is_crowd', where)).tolist()
    ids = np.full(masks.shape[1:], VOID, dtype=np.int32)
    area, painted = 0, []
    for number, (mask, label, crowd) in enumerate(zip(masks, labels, is_crowd, strict=True), 1):
        pixels = int(np.count_nonzero(mask))
        if label < 0 or pixels == 0:
            continue
        area += pixels
        ids[mask] = number
        painted.append({'id': number, 'category_id': label, 'iscrowd': int(crowd), 'area': pixels})
    if area != np.count_nonzero(ids):
        raise UserError(
            f'{where}: gt_segments: expected exclusive masks, got pixels in several segments; '
            'panoptic quality needs panoptic annotations'
        )
    return ids, painted


def percent(fraction: float | np.floating) -> float:
    """A fraction as percent, a plain float that JSON can hold."""
    return 100.0 * float(fraction)


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file that appears whole or not at all."""
    data = json.dumps(content).encode()

    def write(file: BinaryIO) -> None:
        file.write(data)

    write_atomically(path, write, len(data))


def text_table(header: Sequence[str], rows: Sequence[Sequence[str | float]]) -> str:
    """Aligned columns for a log; numbers with two digits."""
    cells = [
        list(header),
        *([c if isinstance(c, str) else f'{c:.2f}' for c in row] for row in rows),
    ]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    return '\n'.join(
        '  '.join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    )


def annotated_labels(by_sample: Iterable[Sequence[int] | None], num_classes: int) -> list[int]:
    """Classes that scores are averaged over: those that any of the samples annotates.

    All if one does not say which, or none annotates any.
    """
    found: set[int] = set()
    for classes in by_sample:
        if classes is None:
            return list(range(num_classes))
        found.update(classes)
    return sorted(found) or list(range(num_classes))
