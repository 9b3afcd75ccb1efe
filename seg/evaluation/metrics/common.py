"""What the metrics share: reading samples with named errors, files, tables for the log."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from torch import Tensor

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
