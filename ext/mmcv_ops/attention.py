"""Multi-scale deformable attention in the low-level signatures of ``mmcv._ext``, in torch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def ms_deform_attn_forward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    im2col_step: int,
) -> Tensor:
    """Deformable DETR's attention over several levels (Zhu et al. 2021, Eq. 3).

    Args:
        value: Shape (B, sum of H*W over levels, heads, C per head).
        value_spatial_shapes: (H, W) of each level, int64, shape (levels, 2).
        value_level_start_index: Unused; follows from the shapes.
        sampling_locations: (x, y) in [0, 1] of each level's map,
            shape (B, Q, heads, levels, points, 2).
        attention_weights: Shape (B, Q, heads, levels, points).
        im2col_step: Unused; the compiled operator's images per launch.

    Returns:
        Shape (B, Q, heads * C per head).
    """
    heads = value.shape[2]
    sizes = value_spatial_shapes.tolist()
    levels = value.split([height * width for height, width in sizes], dim=1)
    output = value.new_zeros(())
    for level, (features, (height, width)) in enumerate(zip(levels, sizes, strict=True)):
        maps = features.permute(0, 2, 3, 1).reshape(-1, value.shape[3], height, width)
        # (B, Q, heads, points, 2) -> (B * heads, Q, points, 2), from [0, 1] to [-1, 1]
        grid = sampling_locations[:, :, :, level].transpose(1, 2).flatten(0, 1) * 2 - 1
        weights = attention_weights[:, :, :, level].transpose(1, 2).flatten(0, 1)
        sampled = F.grid_sample(maps, grid, padding_mode='zeros', align_corners=False)
        output = output + (sampled * weights[:, None]).sum(dim=-1)
    # (B * heads, C per head, Q) -> (B, Q, heads * C per head)
    return output.unflatten(0, (-1, heads)).flatten(1, 2).transpose(1, 2).contiguous()


def ms_deform_attn_backward(
    value: Tensor,
    value_spatial_shapes: Tensor,
    value_level_start_index: Tensor,
    sampling_locations: Tensor,
    attention_weights: Tensor,
    grad_output: Tensor,
    grad_value: Tensor,
    grad_sampling_loc: Tensor,
    grad_attn_weight: Tensor,
    im2col_step: int,
) -> None:
    """Put the gradients into the last three tensors, shaped as what they belong to.

    The other arguments are those of :func:`ms_deform_attn_forward`.
    """
    with torch.enable_grad():
        leaves = [
            tensor.detach().requires_grad_()
            for tensor in (value, sampling_locations, attention_weights)
        ]
        output = ms_deform_attn_forward(
            leaves[0],
            value_spatial_shapes,
            value_level_start_index,
            leaves[1],
            leaves[2],
            im2col_step,
        )
    grads = torch.autograd.grad(output, leaves, grad_output)
    for out, grad in zip((grad_value, grad_sampling_loc, grad_attn_weight), grads, strict=True):
        out.copy_(grad)
