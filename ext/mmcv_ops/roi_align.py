"""RoI align in the low-level signatures of ``mmcv._ext``, on torchvision."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import roi_align

_AVERAGE = 1


def roi_align_forward(
    input: Tensor,
    rois: Tensor,
    output: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Average bilinear samples of every bin of every region into ``output``.

    Args:
        input: Features, shape (B, C, H, W).
        rois: Batch index and xyxy box, shape (N, 5), pixels of the image.
        output: Output, shape (N, C, aligned_height, aligned_width).
        argmax_y: Unused; only maximum pooling fills it.
        argmax_x: Unused; only maximum pooling fills it.
        aligned_height: Bins per region, vertically.
        aligned_width: Bins per region, horizontally.
        spatial_scale: Feature pixels per image pixel.
        sampling_ratio: Samples per bin and axis; 0 takes as many as the bin has pixels.
        pool_mode: 1 (average); mmcv's 0 (maximum) is not carried.
        aligned: Whether pixel centres lie at half-integers.

    Raises:
        MissingOperatorError: If ``pool_mode`` is 0.
    """
    _check_average(pool_mode)
    pooled = roi_align(
        input.float() if _needs_float(input) else input,
        rois.float() if _needs_float(input) else rois.to(input.dtype),
        (aligned_height, aligned_width),
        spatial_scale,
        sampling_ratio,
        aligned,
    )
    output.copy_(pooled)


def roi_align_backward(
    grad_output: Tensor,
    rois: Tensor,
    argmax_y: Tensor,
    argmax_x: Tensor,
    grad_input: Tensor,
    aligned_height: int,
    aligned_width: int,
    spatial_scale: float,
    sampling_ratio: int,
    pool_mode: int,
    aligned: bool,
) -> None:
    """Put the gradient of the features into ``grad_input``, shape (B, C, H, W).

    Average pooling is linear in the features, so any point will do to take the gradient at.
    The other arguments are those of :func:`roi_align_forward`.

    Raises:
        MissingOperatorError: If ``pool_mode`` is 0.
    """
    _check_average(pool_mode)
    dtype = torch.float32 if _needs_float(grad_input) else grad_input.dtype
    with torch.enable_grad():
        features = torch.zeros_like(grad_input, dtype=dtype, requires_grad=True)
        pooled = roi_align(
            features,
            rois.to(dtype),
            (aligned_height, aligned_width),
            spatial_scale,
            sampling_ratio,
            aligned,
        )
    (grad,) = torch.autograd.grad(pooled, features, grad_output.to(dtype))
    grad_input.copy_(grad)


def _needs_float(tensor: Tensor) -> bool:
    """Whether torchvision has no kernel of this precision."""
    return tensor.dtype in (torch.float16, torch.bfloat16)


def _check_average(pool_mode: int) -> None:
    if pool_mode != _AVERAGE:
        from ext.mmcv_ops.stand_in import missing_op

        missing_op('roi_align with pool_mode="max"')()
