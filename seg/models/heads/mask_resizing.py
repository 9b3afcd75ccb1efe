"""Mask logits at the size of the original picture, a few at a time where there are many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import torch
from torch import Tensor
from torch.nn import functional as F

CHUNK_PIXELS = 1 << 22
"""Pixels of masks that exist as floating-point numbers at a time, 16 MiB."""


class PictureSizes(TypedDict):
    """The way from masks to the original picture; every size is (H, W) in pixels.

    Attributes:
        canvas: The padded input.
        img_shape: The picture inside it.
        ori_shape: The original picture.
    """

    canvas: tuple[int, int]
    img_shape: tuple[int, int]
    ori_shape: tuple[int, int]


def resize_masks(
    mask_logits: Tensor,
    *,
    canvas: tuple[int, int],
    img_shape: tuple[int, int],
    ori_shape: tuple[int, int],
) -> Tensor:
    """Bring mask logits to the size of the original picture.

    Two bilinear steps, as the public model does: to the padded input, then, cropped to the
    picture, to its original size.

    Args:
        mask_logits: (N, T, h, w).
        canvas: Size (H, W) of the padded input.
        img_shape: Size of the picture inside it.
        ori_shape: Size of the original picture.

    Returns:
        (N, T, *ori_shape), float32.
    """
    logits = F.interpolate(mask_logits.float(), size=canvas, mode='bilinear', align_corners=False)
    logits = logits[..., : img_shape[0], : img_shape[1]]
    return F.interpolate(logits, size=ori_shape, mode='bilinear', align_corners=False)


def full_size(mask_logits: Tensor, sizes: PictureSizes | None) -> tuple[int, ...]:
    """Shape (N, T, H, W) of all masks together at the size of the picture."""
    height_width = mask_logits.shape[2:] if sizes is None else sizes['ori_shape']
    return (*mask_logits.shape[:2], *height_width)


def resized_chunks(
    mask_logits: Tensor, sizes: PictureSizes | None
) -> Iterator[tuple[slice, Tensor]]:
    """Masks at the size of the picture, as many at a time as ``CHUNK_PIXELS`` allows.

    The masks of a large photo are never all in memory as floating-point numbers.

    Args:
        mask_logits: (N, T, h, w).
        sizes: The way to the picture; ``None`` if the masks have its size.

    Yields:
        Rows, and their logits (n, T, H, W), n >= 1, float32.
    """
    num_masks, *each = full_size(mask_logits, sizes)
    step = max(1, CHUNK_PIXELS // max(1, torch.Size(each).numel()))
    for start in range(0, num_masks, step):
        rows = slice(start, min(start + step, num_masks))
        part = mask_logits[rows]
        yield rows, part.float() if sizes is None else resize_masks(part, **sizes)


def resized_binary_masks(mask_logits: Tensor, sizes: PictureSizes | None) -> Tensor:
    """Where the probability at the size of the picture is above one half, (N, T, H, W), bool."""
    shape = full_size(mask_logits, sizes)
    masks = torch.empty(shape, dtype=torch.bool, device=mask_logits.device)
    for rows, logits in resized_chunks(mask_logits, sizes):
        masks[rows] = logits > 0
    return masks
