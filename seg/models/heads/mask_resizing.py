"""Mask logits at the size of the original picture, a few at a time where there are many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.decoders.convex_upsampler import FrameSharpener, Sharpen

BAND_PIXELS = 1 << 19
"""Pixels of masks in a band of rows, 2 MiB: about what the cache of a CPU's core holds."""

CHUNK_PIXELS = 1 << 22
"""Pixels of masks that exist as floating-point numbers at a time, 16 MiB."""

DEVICE_PIXELS = 1 << 27
"""Both on other devices, 512 MiB: as few bands and chunks as possible, as each costs calls."""


class PictureSizes(TypedDict):
    """The way from masks to the original picture; every size is (H, W) in pixels.

    Attributes:
        canvas: The padded input.
        img_shape: The picture inside it.
        ori_shape: The original picture.
        sharpen: What brings masks to a finer grid before anything else, if there is such a thing.
    """

    canvas: tuple[int, int]
    img_shape: tuple[int, int]
    ori_shape: tuple[int, int]
    sharpen: FrameSharpener | None


def resize_masks(
    mask_logits: Tensor,
    *,
    canvas: tuple[int, int],
    img_shape: tuple[int, int],
    ori_shape: tuple[int, int],
    sharpen: Sharpen | None = None,
) -> Tensor:
    """Bring mask logits to the size of the original picture.

    Two bilinear steps, as the public model does: to the padded input, then, cropped to the
    picture, to its original size.

    Args:
        mask_logits: (N, T, h, w).
        canvas: Size (H, W) of the padded input.
        img_shape: Size of the picture inside it.
        ori_shape: Size of the original picture.
        sharpen: What brings masks to a finer grid before.

    Returns:
        (N, T, *ori_shape), float32.
    """
    if sharpen is not None:
        mask_logits = sharpen(mask_logits)
    logits = F.interpolate(mask_logits.float(), size=canvas, mode='bilinear', align_corners=False)
    logits = logits[..., : img_shape[0], : img_shape[1]]
    if tuple(img_shape) == tuple(ori_shape):
        return logits
    return F.interpolate(logits, size=ori_shape, mode='bilinear', align_corners=False)


def sharpened(mask_logits: Tensor, sizes: PictureSizes) -> tuple[Tensor, PictureSizes]:
    """Masks (N, T, h, w) on the finest grid there is, and the way from there to the picture."""
    if sizes['sharpen'] is None:
        return mask_logits, sizes
    return sizes['sharpen'](mask_logits), {**sizes, 'sharpen': None}


def sharpened_near_outlines(
    mask_logits: Tensor, sizes: PictureSizes
) -> tuple[Tensor, PictureSizes]:
    """The same with exact signs alone, and values where masks overlap.

    See :meth:`FrameSharpener.near_outlines`.
    """
    if sizes['sharpen'] is None:
        return mask_logits, sizes
    return sizes['sharpen'].near_outlines(mask_logits), {**sizes, 'sharpen': None}


def full_size(mask_logits: Tensor, sizes: PictureSizes | None) -> tuple[int, ...]:
    """Shape (N, T, H, W) of all masks together at the size of the picture."""
    height_width = mask_logits.shape[2:] if sizes is None else sizes['ori_shape']
    return (*mask_logits.shape[:2], *height_width)


def resized_chunks(
    mask_logits: Tensor, sizes: PictureSizes | None
) -> Iterator[tuple[slice, Tensor]]:
    """Masks at the size of the picture, a number at a time that ``CHUNK_PIXELS`` allows.

    The masks of a large photo are never all in memory as floating-point numbers.

    Args:
        mask_logits: (N, T, h, w).
        sizes: The way to the picture; ``None`` if the masks have its size.

    Yields:
        Rows, and their logits (n, T, H, W), n >= 1, float32.
    """
    num_masks, *each = full_size(mask_logits, sizes)
    pixels = CHUNK_PIXELS if mask_logits.device.type == 'cpu' else DEVICE_PIXELS
    step = max(1, pixels // max(1, torch.Size(each).numel()))
    for start in range(0, num_masks, step):
        rows = slice(start, min(start + step, num_masks))
        part = mask_logits[rows]
        yield rows, part.float() if sizes is None else resize_masks(part, **sizes)


def resized_bands(
    mask_logits: Tensor, sizes: PictureSizes | None
) -> Iterator[tuple[slice, Tensor]]:
    """All masks at the size of the picture, a few rows at a time.

    For what compares masks pixel by pixel: a band stays in the cache while it is looked at.
    Values are those of :func:`resize_masks` up to rounding.

    Args:
        mask_logits: (N, T, h, w), N >= 1.
        sizes: The way to the picture; ``None`` if the masks have its size.

    Yields:
        Rows of the picture, and logits (N, T, rows, W), float32.
    """
    _, _, height, width = full_size(mask_logits, sizes)
    if sizes is not None:
        mask_logits, sizes = sharpened(mask_logits, sizes)
    pixels = BAND_PIXELS if mask_logits.device.type == 'cpu' else DEVICE_PIXELS
    each = max(1, pixels // max(1, mask_logits.shape[0] * mask_logits.shape[1] * width))
    for start in range(0, height, each):
        rows = slice(start, min(start + each, height))
        if sizes is None:
            yield rows, mask_logits[:, :, rows].float()
        else:
            yield rows, _resized_rows(mask_logits, rows, sizes)


def _resized_rows(mask_logits: Tensor, rows: slice, sizes: PictureSizes) -> Tensor:
    """Some rows of what :func:`resize_masks` gives.

    Across first, where there are few rows; from the padded input to the picture only where their
    scales differ. Places are worked out by NumPy, so that no device has to be waited for.
    """
    canvas, img_shape, ori_shape = sizes['canvas'], sizes['img_shape'], sizes['ori_shape']
    wanted = np.arange(rows.start, rows.stop)
    same = tuple(img_shape) == tuple(ori_shape)
    second = None if same else _neighbours(wanted, img_shape[0], ori_shape[0])
    if second is not None:
        wanted = np.arange(second[0][0], second[1][-1] + 1)
    above, below, part = _neighbours(wanted, mask_logits.shape[-2], canvas[0])
    first = above[0]
    few = mask_logits[:, :, first : below[-1] + 1].float()
    few = _stretched(few, canvas[1])[..., : img_shape[1]]
    logits = _between(few, above - first, below - first, part)
    if second is None:
        return logits
    logits = _between(logits, second[0] - wanted[0], second[1] - wanted[0], second[2])
    return _stretched(logits, ori_shape[1])


def _neighbours(
    wanted: np.ndarray, source: int, target: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows above and below some rows of a map that ``source`` rows become, and the part below."""
    place = ((wanted + 0.5) * (source / target) - 0.5).clip(min=0)
    above = np.floor(place).astype(np.int64).clip(max=source - 1)
    return above, (above + 1).clip(max=source - 1), (place - above).astype(np.float32)


def _between(logits: Tensor, above: np.ndarray, below: np.ndarray, part: np.ndarray) -> Tensor:
    upper, lower, weight = (
        torch.from_numpy(values).to(logits.device, non_blocking=True)
        for values in (above, below, part)
    )
    return logits.index_select(-2, upper).lerp_(logits.index_select(-2, lower), weight[:, None])


def _stretched(logits: Tensor, width: int) -> Tensor:
    """Enlarged along the last axis alone."""
    size = logits.shape[-2], width
    return F.interpolate(logits, size=size, mode='bilinear', align_corners=False)


def resized_binary_masks(mask_logits: Tensor, sizes: PictureSizes | None) -> Tensor:
    """Where the probability at the size of the picture is above one half, (N, T, H, W), bool."""
    shape = full_size(mask_logits, sizes)
    masks = torch.empty(shape, dtype=torch.bool, device=mask_logits.device)
    for rows, logits in resized_chunks(mask_logits, sizes):
        masks[rows] = logits > 0
    return masks
