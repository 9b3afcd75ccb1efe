"""Modulated deformable convolution in the low-level signatures of ``mmcv._ext``."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import deform_conv2d


def modulated_deform_conv_forward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    output: Tensor,
    columns: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Deformable ConvNets v2 (Zhu et al. 2019, Eq. 1) into ``output``.

    The layout of offsets and masks is torchvision's: per deformable group and kernel tap
    ``(dy, dx)`` and one modulation. torchvision reads kernel size and group counts from shapes.

    Args:
        input: Shape (B, C, H, W).
        weight: Shape (C_out, C / group, kernel_h, kernel_w).
        bias: Shape (C_out,), or empty without a bias.
        ones: Unused scratch of the compiled operator.
        offset: Shape (B, 2 * deformable_group * kernel_h * kernel_w, H', W'), input pixels.
        mask: Shape (B, deformable_group * kernel_h * kernel_w, H', W').
        output: Output, shape (B, C_out, H', W').
        columns: Unused scratch of the compiled operator.
        kernel_h: Kernel height.
        kernel_w: Kernel width.
        stride_h: Vertical stride.
        stride_w: Horizontal stride.
        pad_h: Vertical zero padding.
        pad_w: Horizontal zero padding.
        dilation_h: Vertical dilation.
        dilation_w: Horizontal dilation.
        group: Channel groups.
        deformable_group: Groups of channels that share offsets.
        with_bias: Whether ``bias`` is added.
    """
    geometry = (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w)
    output.copy_(_convolve(input, offset, mask, weight, bias if with_bias else None, geometry))


def modulated_deform_conv_backward(
    input: Tensor,
    weight: Tensor,
    bias: Tensor,
    ones: Tensor,
    offset: Tensor,
    mask: Tensor,
    columns: Tensor,
    grad_input: Tensor,
    grad_weight: Tensor,
    grad_bias: Tensor,
    grad_offset: Tensor,
    grad_mask: Tensor,
    grad_output: Tensor,
    kernel_h: int,
    kernel_w: int,
    stride_h: int,
    stride_w: int,
    pad_h: int,
    pad_w: int,
    dilation_h: int,
    dilation_w: int,
    group: int,
    deformable_group: int,
    with_bias: bool,
) -> None:
    """Put all gradients into the ``grad_*`` outputs, shaped as what they belong to.

    The other arguments are those of :func:`modulated_deform_conv_forward`.
    """
    geometry = (stride_h, stride_w), (pad_h, pad_w), (dilation_h, dilation_w)
    grads = [grad_input, grad_offset, grad_mask, grad_weight]
    tensors = [input, offset, mask, weight]
    if with_bias:
        grads.append(grad_bias)
        tensors.append(bias)
    with torch.enable_grad():
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        leaf_bias = leaves[4] if with_bias else None
        output = _convolve(leaves[0], leaves[1], leaves[2], leaves[3], leaf_bias, geometry)
    for grad, value in zip(
        grads, torch.autograd.grad(output, leaves, grad_output.to(output.dtype)), strict=True
    ):
        grad.copy_(value)


Geometry = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]


def _convolve(
    input: Tensor,
    offset: Tensor,
    mask: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    geometry: Geometry,
) -> Tensor:
    """The convolution in at least single precision; half precision has no kernel on CPU."""
    stride, padding, dilation = geometry
    dtype = torch.promote_types(input.dtype, torch.float32)
    return deform_conv2d(
        input.to(dtype),
        offset.to(dtype),
        weight.to(dtype),
        None if bias is None else bias.to(dtype),
        stride,
        padding,
        dilation,
        mask.to(dtype),
    )
