"""Reads and checks the two files of a golden case; nothing in them is executed or unpickled."""

from __future__ import annotations

import json
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seg.utils.checks import UserError, unknown_name_message

INPUT_SHAPES: dict[str, tuple[int | str, ...]] = {
    'prompt_boxes': (2, 'N', 4),
    'prompt_labels': (2, 'N'),
    'net_image': ('B', 3, 'H', 'W'),
    'image': ('B', 3, 'H', 'W'),
    'points': ('B', 'Q', 'P', 2),
    'labels': ('B', 'Q', 'P'),
}
"""Arrays that go into the model; all others of a case come out of it."""


def read_spec(names_file: Path, case: str) -> dict[str, Any]:
    """The entry of a case in ``names.json``, a JSON object; see :func:`check_spec`.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is not JSON or does not know the case.
    """
    if not names_file.is_file():
        raise FileNotFoundError(
            f'--fixtures: expected a folder with names.json, got {names_file.parent}'
        )
    try:
        specs = json.loads(names_file.read_text(encoding='utf-8'))
    except ValueError as error:  # of JSON or of UTF-8
        raise UserError(f'{names_file}: expected JSON, got a broken file: {error}') from error
    if not isinstance(specs, dict):
        raise UserError(f'{names_file}: expected {{case: entry}}, got {_kind(specs)}')
    if case not in specs:
        raise UserError(unknown_name_message('case', case, specs))
    if not isinstance(specs[case], dict):
        raise UserError(f'{names_file}: {case}: expected an object, got {_kind(specs[case])}')
    return specs[case]


def check_spec(
    spec: Mapping[str, Any], where: str, models: Sequence[str], numbers: Mapping[str, int]
) -> None:
    """Make sure that a case says how to build its model.

    Args:
        spec: The entry of ``names.json``.
        where: File and case, for errors.
        models: The known models.
        numbers: Whole numbers that it has to say, with the least that each may be.

    Raises:
        UserError: If a key is missing or has a wrong value.
    """
    wanted = ('model', *numbers, 'shapes')
    if 'model' in spec and spec['model'] not in models:
        raise UserError(f'{where}: {unknown_name_message("model", str(spec["model"]), models)}')
    missing = [key for key in wanted if key not in spec]
    if missing:
        raise UserError(f'{where}: expected the keys {", ".join(wanted)}, got no {missing[0]!r}')
    for key, least in numbers.items():
        if not _is_count(spec[key], least):
            raise UserError(
                f'{where}: {key}: expected a whole number of at least {least}, got {spec[key]!r}'
            )
    if not isinstance(spec['shapes'], dict):
        raise UserError(f'{where}: shapes: expected an object, got {_kind(spec["shapes"])}')
    for name, shape in spec['shapes'].items():
        if not isinstance(shape, list) or not all(_is_count(size, 1) for size in shape):
            raise UserError(f'{where}: shapes: {name}: expected a list of sizes, got {shape!r}')


def check_classes(spec: Mapping[str, Any], where: str) -> None:
    """Make sure that a case with classes has some.

    Raises:
        UserError: If there is none.
    """
    if spec['num_things'] + spec['num_stuff'] == 0:
        raise UserError(f'{where}: num_things + num_stuff: expected at least one class, got 0')


def read_arrays(path: Path) -> dict[str, Tensor]:
    """The arrays of a case, inputs and outputs.

    Raises:
        FileNotFoundError: If there is no such file.
        UserError: If it is broken, or an array is of a wrong type or an input of a wrong shape.
    """
    if not path.is_file():
        raise FileNotFoundError(f'--case: expected the arrays in {path}, got no such file')
    try:
        stored = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f'{path}: expected an .npz file, got a broken or other one') from error
    if not isinstance(stored, np.lib.npyio.NpzFile):
        raise UserError(f'{path}: expected an .npz file, got a single array (.npy)')
    with stored:
        arrays = {name: _read_array(stored, name, path) for name in stored.files}
    for name, shape in INPUT_SHAPES.items():
        if name in arrays:
            _check_shape(arrays[name], shape, f'{path}: {name}')
    _check_prompts(arrays, path)
    return arrays


def _read_array(stored: np.lib.npyio.NpzFile, name: str, path: Path) -> Tensor:
    try:
        array = stored[name]
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f'{path}: {name}: expected an array of numbers, got {error}') from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in 'fiu':
        kind = array.dtype if isinstance(array, np.ndarray) else 'no array'
        raise UserError(f'{path}: {name}: expected an array of numbers, got {kind}')
    wide = np.float64 if array.dtype == np.float64 else np.float32
    return torch.from_numpy(array.astype(np.int64 if array.dtype.kind in 'iu' else wide))


def _check_shape(array: Tensor, expected: tuple[int | str, ...], where: str) -> None:
    shape = tuple(array.shape)
    right = len(shape) == len(expected) and all(
        size == want if isinstance(want, int) else size > 0
        for size, want in zip(shape, expected, strict=True)
    )
    if not right:
        wanted = ', '.join(str(want) for want in expected)
        raise UserError(f'{where}: expected shape ({wanted}), got {shape}')


def _check_prompts(arrays: Mapping[str, Tensor], path: Path) -> None:
    labels, boxes = arrays.get('prompt_labels'), arrays.get('prompt_boxes')
    if labels is None:
        return
    if not ((labels == 0) | (labels == 1)).all():
        raise UserError(f'{path}: prompt_labels: expected 0 and 1, got {labels.unique().tolist()}')
    if boxes is not None and boxes.shape[1] != labels.shape[1]:
        raise UserError(
            f'{path}: prompt_labels: expected one per box of prompt_boxes, {boxes.shape[1]}, '
            f'got {labels.shape[1]}'
        )


def _is_count(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _kind(value: object) -> str:
    return {list: 'a list', str: 'a string', type(None): 'null'}.get(type(value), repr(value))
