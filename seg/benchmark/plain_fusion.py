"""The published way from query masks to a panoptic map, plainly: all masks at full size."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

INSTANCE_OFFSET = 1000


def plain_panoptic(
    class_logits: Tensor,
    mask_logits: Tensor,
    *,
    num_things: int,
    canvas: tuple[int, int],
    img_shape: tuple[int, int],
    ori_shape: tuple[int, int],
    object_mask_thr: float = 0.8,
    iou_thr: float = 0.8,
) -> Tensor:
    """Map of one picture, (H, W), int64: class + 1000 * instance; K where nothing is.

    Args:
        class_logits: (Q, K + 1).
        mask_logits: (Q, h, w).
        num_things: The first classes are things.
        canvas: Size (H, W) of the padded input.
        img_shape: Of the picture in it.
        ori_shape: Of the original picture.
        object_mask_thr: Queries below this class score are dropped.
        iou_thr: Segments that keep less than this share of their mask are dropped.
    """
    masks = F.interpolate(mask_logits[None], canvas, mode='bilinear', align_corners=False)
    masks = masks[..., : img_shape[0], : img_shape[1]]
    masks = F.interpolate(masks, ori_shape, mode='bilinear', align_corners=False)[0]
    scores, labels = class_logits.softmax(dim=-1).max(dim=-1)
    num_classes = class_logits.shape[-1] - 1
    keep = (labels != num_classes) & (scores > object_mask_thr)
    scores, labels, probs = scores[keep], labels[keep], masks.sigmoid()[keep]
    result = torch.full(ori_shape, num_classes, dtype=torch.int64, device=masks.device)
    if not len(scores):
        return result
    owner = (scores[:, None, None] * probs).argmax(dim=0)
    instance = 1
    for k in range(len(scores)):
        mine, inside = owner == k, probs[k] >= 0.5
        won, own = mine.sum().item(), inside.sum().item()
        mine = mine & inside
        if won == 0 or own == 0 or mine.sum().item() == 0 or won / own < iou_thr:
            continue
        label = int(labels[k])
        if label >= num_things:
            result[mine] = label
        else:
            result[mine] = label + instance * INSTANCE_OFFSET
            instance += 1
    return result
