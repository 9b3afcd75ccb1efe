"""Prompts from plain arrays and lists."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from seg.models.prompts.texts import check_texts
from seg.structures import PointLabel, Prompts
from seg.utils.checks import UserError

_MAX_INTEGER = 2**53  # beyond that not every float is exact


def make_prompts(
    points: Any = None,
    point_labels: Any = None,
    object_ids: Any = None,
    *,
    boxes: Any = None,
    masks: Any = None,
    texts: Sequence[str | None] | None = None,
) -> Prompts | None:
    """Prompts of N objects; ``None`` if there are none.

    Kinds combine: row ``i`` of every kind that is given is about object ``i``.

    Args:
        points: (N, P, 2), pixels (x, y) of the image.
        point_labels: (N, P): 1 foreground, 0 background, -1 padding; all foreground by default.
        object_ids: (N,); 1..N by default.
        boxes: (N, 4), xyxy pixels of the image; rows of NaN for objects without a box.
        masks: (N, H, W), bool or probabilities, at the size of the image; or a list of N, with
            ``None`` for objects without a mask.
        texts: N phrases, ``None`` for objects without one.

    Raises:
        UserError: If shapes or values are wrong, the kinds disagree about N, an object has no
            prompt at all, or labels come without points.
    """
    given = {'points': points, 'boxes': boxes, 'masks': masks, 'texts': texts}
    if points is None and point_labels is not None:
        raise UserError('point_labels: expected points with them, got no points')
    kinds = {name: value for name, value in given.items() if value is not None}
    if not kinds:
        return None
    if isinstance(texts, (str, bytes)):
        raise UserError(f'texts: expected a list of phrases, got {texts!r}; write [{texts!r}]')
    if isinstance(texts, (Mapping, Set)):
        raise UserError(
            f'texts: expected a list of phrases, one per object, got a {type(texts).__name__}, '
            'which has no rows; write [...]'
        )
    _check_counts({**kinds, **({} if object_ids is None else {'object_ids': object_ids})})
    coords = None if points is None else _points(points)
    mask_maps = None if masks is None else _masks(masks)
    check_texts([text for text in texts or () if text is not None])
    prompts = Prompts.create(
        points=coords,
        point_labels=None if coords is None else _labels(point_labels, coords.shape[:2]),
        boxes=None if boxes is None else _boxes(boxes),
        masks=mask_maps,
        texts=texts,
        object_ids=None if object_ids is None else _object_ids(object_ids),
    )
    if masks is not None:
        has_mask = torch.tensor([mask is not None for mask in masks], dtype=torch.bool)
        prompts = replace(prompts, has_mask=has_mask)
    if not bool(prompts.is_valid.all()):
        row = int((~prompts.is_valid).nonzero()[0])
        raise UserError(
            f'prompts: expected a point, box, mask or text for every object, got nothing for row '
            f'{row}; leave the row out of all kinds'
        )
    return prompts


def _check_counts(kinds: dict[str, Any]) -> None:
    counts = {}
    for name, value in kinds.items():
        try:
            counts[name] = len(value)
        except TypeError:
            raise UserError(f'{name}: expected one row per object, got {value!r}') from None
    if len(set(counts.values())) > 1:
        shown = ', '.join(f'{name} for {count}' for name, count in counts.items())
        raise UserError(
            f'prompts: expected every kind to have one row per object, got {shown} objects; fill '
            'up with None (masks, texts), rows of NaN (boxes) or points of label -1'
        )


def as_numbers(name: str, value: Any, expected: str, dtype: Any = np.float32) -> np.ndarray:
    """An array of numbers from arrays, lists, or tensors of any device.

    Args:
        name: What the value is called in errors.
        value: The numbers.
        expected: What they should be, for errors.
        dtype: Of the result.

    Raises:
        UserError: If they are no such numbers, or rows differ in length.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = (value.double() if value.is_floating_point() else value).numpy()
    try:
        with np.errstate(over='ignore'):  # what is too large becomes infinite, and is refused
            return np.asarray(value, dtype=dtype)
    except (ValueError, TypeError, RuntimeError):
        raise UserError(f'{name}: expected {expected}, got rows that are no such numbers') from None


def _points(points: Any) -> torch.Tensor:
    expected = 'shape (N, P, 2), P points (x, y) for each of N objects'
    coords = as_numbers('points', points, f'{expected}, filled up with points of label -1')
    if coords.shape == (0,):
        return torch.zeros(0, 0, 2)
    if coords.ndim != 3 or coords.shape[-1] != 2:
        raise UserError(f'points: expected {expected}, got {coords.shape}; one click is [[[x, y]]]')
    return torch.from_numpy(coords)


def _labels(labels: Any, shape: Sequence[int]) -> torch.Tensor | None:
    if labels is None:
        return None
    values = _integers('point_labels', labels)
    if values.shape != torch.Size(shape):
        raise UserError(
            f'point_labels: expected one per point, shape {tuple(shape)}, got '
            f'{tuple(values.shape)}; 1 is on the object, 0 beside it, -1 no point'
        )
    known = torch.tensor([int(label) for label in PointLabel])
    if not bool(torch.isin(values, known).all()):
        raise UserError(
            'point_labels: expected 1 (on the object), 0 (beside it) or -1 (no point), got '
            f'{sorted(set(values.flatten().tolist()))}'
        )
    return values


def _object_ids(object_ids: Any) -> torch.Tensor:
    values = _integers('object_ids', object_ids)
    if values.ndim != 1:
        raise UserError(
            f'object_ids: expected one per object, shape (N,), got {tuple(values.shape)}'
        )
    return values


def _integers(name: str, value: Any) -> torch.Tensor:
    numbers = as_numbers(name, value, 'whole numbers in rows of one length', None)
    if numbers.dtype.kind not in 'biuf' or not np.array_equal(numbers, np.rint(numbers)):
        raise UserError(f'{name}: expected whole numbers, got {numbers.tolist()}')
    if numbers.size and not -_MAX_INTEGER <= numbers.min() <= numbers.max() <= _MAX_INTEGER:
        raise UserError(
            f'{name}: expected whole numbers of at most {_MAX_INTEGER}, got {numbers.tolist()}'
        )
    return torch.from_numpy(numbers.astype(np.int64))


def _boxes(boxes: Any) -> torch.Tensor:
    values = as_numbers('boxes', boxes, 'shape (N, 4)')
    values = values.reshape(0, 4) if values.size == 0 else values
    if values.ndim != 2 or values.shape[1] != 4:
        raise UserError(
            f'boxes: expected shape (N, 4), xyxy pixels, got {values.shape}; one box is '
            '[[x1, y1, x2, y2]]'
        )
    missing = np.isnan(values)
    if (missing.any(axis=1) & ~missing.all(axis=1)).any() or np.isinf(values).any():
        raise UserError(
            f'boxes: expected finite pixel coordinates, got {values.tolist()}; a row of four NaN '
            'stands for no box'
        )
    return torch.from_numpy(values)


def _masks(masks: Any) -> torch.Tensor:
    if isinstance(masks, np.ndarray) and masks.ndim != 3:
        raise UserError(
            f'masks: expected shape (N, H, W), got {masks.shape}; one mask is masks[None]'
        )
    maps = [None if mask is None else _mask(mask) for mask in masks]
    sizes = {mask.shape for mask in maps if mask is not None}
    if len(sizes) > 1:
        shown = ' and '.join(f'{width} x {height}' for height, width in sorted(sizes))
        raise UserError(
            f'masks: expected masks of one size, that of the image, got {shown} pixels; draw all '
            'of them on this image'
        )
    size = sizes.pop() if sizes else (1, 1)
    filled = [np.zeros(size, np.float32) if mask is None else mask for mask in maps]
    return torch.from_numpy(np.stack(filled) if filled else np.zeros((0, *size), np.float32))


def _mask(given: Any) -> np.ndarray:
    mask = as_numbers('masks', given, 'shape (N, H, W), bool or probabilities', None)
    if mask.ndim != 2 or mask.dtype.kind not in 'buif':
        raise UserError(
            f'masks: expected (H, W) each, bool or probabilities, got {mask.shape} {mask.dtype}'
        )
    values = mask.astype(np.float32)
    if not ((values >= 0) & (values <= 1)).all():
        raise UserError(
            'masks: expected bool or probabilities in [0, 1], got other values; write mask > 127 '
            'for a mask of bytes'
        )
    if not (values > 0.5).any():
        raise UserError(
            'masks: expected at least one pixel above 0.5 in each mask, got an empty one; write '
            'None for an object without a mask'
        )
    return values
