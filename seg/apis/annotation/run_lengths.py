"""Masks as COCO's text of run lengths, which is how sessions keep and send them."""

from __future__ import annotations

import numpy as np
from pycocotools import mask as coco_mask

from seg.datasets.run_length import decode_run_length


def encode_mask(mask: np.ndarray) -> str:
    """Run lengths of a mask (H, W), bool."""
    code = coco_mask.encode(np.asfortranarray(mask, dtype=np.uint8))
    return code['counts'].decode('ascii')


def decode_mask(counts: str, size: tuple[int, int], where: str = 'mask') -> np.ndarray:
    """The mask of run lengths, (H, W), bool.

    Raises:
        UserError: If they do not cover a picture of that size.
    """
    return decode_run_length({'size': size, 'counts': counts}, where)


def area_of(counts: str, size: tuple[int, int]) -> int:
    """Number of pixels."""
    return int(coco_mask.area({'size': list(size), 'counts': counts.encode('ascii')}))


def box_of(counts: str, size: tuple[int, int]) -> list[float]:
    """Bounding box (x, y, width, height), pixels."""
    code = {'size': list(size), 'counts': counts.encode('ascii')}
    return [float(value) for value in coco_mask.toBbox(code)]
