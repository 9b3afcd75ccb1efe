"""The annotation format of SA-1B: one JSON file per image, with a run-length code per mask."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from torch import Tensor

from seg.datasets.coco_instance import decode_segmentation
from seg.datasets.json_fields import INTEGER, SIDE, require, shown
from seg.datasets.samples import segments, stack_masks
from seg.utils.checks import UserError


def parse_sa1b(content: bytes, where: str) -> dict[str, Any]:
    """Read the JSON text of one annotation.

    Args:
        content: The text.
        where: File or member of an archive, for messages.

    Returns:
        The annotation, with a mapping ``image`` and a list of mappings ``annotations``.

    Raises:
        UserError: If it is no JSON, or a part is missing or of another type.
    """
    try:
        annotation = json.loads(content)
    except (ValueError, RecursionError) as error:  # RecursionError: thousands of nested lists
        raise UserError(
            f'{where}: expected the JSON of an annotation, got text that cannot be parsed '
            f'({error}); copy or download it again'
        ) from None
    parts = annotation if isinstance(annotation, dict) else {}
    masks = parts.get('annotations')
    good = isinstance(masks, list) and all(isinstance(mask, dict) for mask in masks)
    if not good or not isinstance(parts.get('image'), dict):
        raise UserError(
            f"{where}: expected an object 'image' and a list of objects 'annotations', got the "
            f'fields {sorted(parts)}; export the annotation in the format of SA-1B'
        )
    return parts


def image_size_of(annotation: Mapping[str, Any], where: str) -> tuple[int, int]:
    """(H, W) of the image that an annotation was drawn on.

    Raises:
        UserError: If it is not given as positive integers.
    """
    height, width = (
        int(require(annotation['image'], key, where, "'image'", SIDE))
        for key in ('height', 'width')
    )
    return height, width


def choose_masks(
    annotation: Mapping[str, Any], most: int | None, rng: np.random.Generator | None
) -> list[int] | None:
    """Places of some random masks of an annotation.

    Args:
        annotation: See :func:`parse_sa1b`.
        most: How many to choose.
        rng: Where the choice comes from.

    Returns:
        The places in increasing order; ``None``, for all of them, without a number or a generator.
    """
    if most is None or rng is None:
        return None
    return sorted(rng.permutation(len(annotation['annotations']))[:most].tolist())


def sa1b_segments(
    annotation: Mapping[str, Any], where: str, chosen: Sequence[int] | None = None
) -> dict[str, Tensor]:
    """The masks of one annotation, which have no class (label -1) and may overlap.

    Masks without a pixel are left out. Object ids are the fields ``id``, or 1, 2, ... in the order
    of the file where they are left out.

    Args:
        annotation: See :func:`parse_sa1b`.
        where: File or member of an archive, for messages.
        chosen: Places of the masks to decode, in ``annotations``; all by default.

    Returns:
        What :func:`seg.datasets.samples.segments` gives.

    Raises:
        UserError: If a mask is malformed or of another size than the image.
    """
    size = image_size_of(annotation, where)
    rows = annotation['annotations']
    masks: list[np.ndarray] = []
    ids: list[int] = []
    for place in range(len(rows)) if chosen is None else chosen:
        name = f'annotations[{place}]'
        code = require(rows[place], 'segmentation', where, name)
        mask = decode_segmentation(code, size, f'{where}: {name}')
        if mask.any():
            masks.append(mask)
            ids.append(_object_id(rows[place].get('id', place + 1), f'{where}: {name}'))
    if len(set(ids)) < len(ids):
        twice = next(number for number in ids if ids.count(number) > 1)
        raise UserError(
            f"{where}: expected every 'id' in 'annotations' once, got {twice} more than once; "
            'rename or remove the repeated ones'
        )
    return segments(stack_masks(masks, size), [-1] * len(ids), ids)


def _object_id(value: Any, where: str) -> int:
    if not INTEGER.accepts(value):
        raise UserError(f"{where}: expected an integer in the field 'id', got {shown(value)}")
    return int(value)
