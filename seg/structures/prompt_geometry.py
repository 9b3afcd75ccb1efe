"""Prompts brought to another image size."""

from __future__ import annotations

from dataclasses import replace

from torch.nn import functional as F

from seg.structures.prompts import Prompts


def resize_prompts(
    prompts: Prompts, old_size: tuple[int, int], new_size: tuple[int, int]
) -> Prompts:
    """Prompts in pixels of an image that was resized.

    Args:
        prompts: In pixels of the image before; masks may be padded at the bottom and the right.
        old_size: (H, W) of the image before, without padding.
        new_size: (H, W) of the image after.

    Returns:
        Prompts whose masks have the new size. Previous logits are left as they are.
    """
    factor = prompts.point_coords.new_tensor((new_size[1] / old_size[1], new_size[0] / old_size[0]))
    masks = prompts.masks
    if masks is not None:
        masks = masks[:, : old_size[0], : old_size[1]]
        if tuple(masks.shape[-2:]) != tuple(new_size):
            masks = F.interpolate(
                masks.float().unsqueeze(1), new_size, mode='bilinear', antialias=True
            )
            masks = masks.squeeze(1).clamp(0, 1)
    return replace(
        prompts,
        point_coords=prompts.point_coords * factor,
        boxes=prompts.boxes * factor.repeat(2).to(prompts.boxes.device),
        masks=masks,
    )
