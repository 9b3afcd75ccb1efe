"""The coding of COCO panoptic PNG files: segment id = R + 256 G + 65536 B; 0 is void."""

from __future__ import annotations

import numpy as np

NUM_IDS = 1 << 24
"""How many ids three bytes hold; valid ids are 0 to ``NUM_IDS - 1``."""


def decode_panoptic(rgb: np.ndarray) -> np.ndarray:
    """Turn the colours of a panoptic PNG into segment ids.

    Args:
        rgb: (..., H, W, 3), uint8, channels in the order red, green, blue.

    Returns:
        Segment ids, (..., H, W), int32, in [0, 2^24).

    Raises:
        TypeError: If ``rgb`` is not uint8.
        ValueError: If it does not have three channels last.
    """
    if rgb.dtype != np.uint8:
        raise TypeError(
            f'rgb: expected uint8, got {rgb.dtype}; read the PNG as it is, without normalising'
        )
    if rgb.ndim < 3 or rgb.shape[-1] != 3:
        raise ValueError(
            f'rgb: expected shape (..., H, W, 3), got {rgb.shape}; '
            'convert the picture to RGB with the channels last'
        )
    packed = np.zeros((*rgb.shape[:-1], 4), dtype=np.uint8)
    packed[..., :3] = rgb
    return packed.view('<i4')[..., 0].astype(np.int32, copy=False)


def encode_panoptic(ids: np.ndarray) -> np.ndarray:
    """Turn segment ids into the colours of a panoptic PNG.

    Args:
        ids: Segment ids, (..., H, W), any integer type, in [0, 2^24).

    Returns:
        (..., H, W, 3), uint8, channels in the order red, green, blue.

    Raises:
        TypeError: If ``ids`` are not integers.
        ValueError: If there is no height and width, or an id does not fit into three bytes.
    """
    if not np.issubdtype(ids.dtype, np.integer):
        raise TypeError(f'ids: expected integers, got {ids.dtype}; segment ids are whole numbers')
    if ids.ndim < 2:
        raise ValueError(f'ids: expected shape (..., H, W), got {ids.shape}')
    if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < NUM_IDS:
        raise ValueError(
            f'ids: expected ids in [0, {NUM_IDS}), got {int(ids.min())} to {int(ids.max())}; '
            'number the segments anew, three bytes hold no more'
        )
    packed = np.ascontiguousarray(ids, dtype='<u4').view(np.uint8)
    return np.ascontiguousarray(packed.reshape(*ids.shape, 4)[..., :3])
