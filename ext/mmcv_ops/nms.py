"""Non-maximum suppression in the low-level signatures of ``mmcv._ext``."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms as torchvision_nms

_NAIVE, _LINEAR, _GAUSSIAN = 0, 1, 2


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float, offset: int) -> Tensor:
    """Greedy suppression of boxes that overlap a better one by more than a threshold.

    Args:
        boxes: xyxy, shape (N, 4), pixels.
        scores: Shape (N,).
        iou_threshold: In [0, 1]; a box is dropped when its IoU is above it.
        offset: 0, or 1 where boxes include their last pixel (sides are ``x2 - x1 + 1``).

    Returns:
        Kept indices, int64, best score first.
    """
    closed = boxes.float() + boxes.new_tensor([0, 0, offset, offset], dtype=torch.float32)
    return torchvision_nms(closed, scores.float(), iou_threshold)


def softnms(
    boxes: Tensor,
    scores: Tensor,
    dets: Tensor,
    iou_threshold: float,
    sigma: float,
    min_score: float,
    method: int,
    offset: int,
) -> Tensor:
    """Soft-NMS: overlapping boxes lose score rather than vanish (Bodla et al. 2017, Fig. 2).

    Args:
        boxes: xyxy, shape (N, 4), pixels.
        scores: Shape (N,).
        dets: Output, shape (N, 5); its first K rows become the kept boxes and decayed scores.
        iou_threshold: Overlap from which methods 0 and 1 act.
        sigma: Width of the Gaussian of method 2.
        min_score: Boxes that decay below it are dropped.
        method: 0 hard, 1 linear, 2 Gaussian.
        offset: As in :func:`nms`.

    Returns:
        Indices of the K kept boxes, int64, in the order in which they were kept.
    """
    scores = scores.clone()
    left = torch.arange(len(boxes), device=boxes.device)
    kept: list[int] = []
    while left.numel():
        best = int(left[scores[left].argmax()])
        dets[len(kept), :4] = boxes[best]
        dets[len(kept), 4] = scores[best]
        kept.append(best)
        left = left[left != best]
        ious = _ious(boxes[best], boxes[left], offset)
        scores[left] *= _decay(ious, iou_threshold, sigma, method)
        left = left[scores[left] >= min_score]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def nms_match(dets: Tensor, iou_threshold: float) -> list[list[int]]:
    """Group every box with the better box that suppresses it.

    Args:
        dets: Boxes xyxy and scores, shape (N, 5).
        iou_threshold: A box joins a group when its IoU with the group's best is at least this.

    Returns:
        Groups of indices, each best score first.
    """
    left = dets[:, 4].argsort(descending=True, stable=True)
    groups: list[list[int]] = []
    while left.numel():
        best, others = left[0], left[1:]
        matched = _ious(dets[best, :4], dets[others, :4], offset=0) >= iou_threshold
        groups.append([int(best), *others[matched].tolist()])
        left = others[~matched]
    return groups


def _ious(box: Tensor, boxes: Tensor, offset: int) -> Tensor:
    """IoU of one box (4,) with others (N, 4); 0 where both are empty."""
    low = torch.maximum(box[:2], boxes[:, :2])
    high = torch.minimum(box[2:], boxes[:, 2:])
    inter = (high - low + offset).clamp(min=0).prod(dim=1)
    area = (box[2:] - box[:2] + offset).prod()
    areas = (boxes[:, 2:] - boxes[:, :2] + offset).prod(dim=1)
    union = area + areas - inter
    return torch.where(union > 0, inter / union, torch.zeros_like(union))


def _decay(ious: Tensor, iou_threshold: float, sigma: float, method: int) -> Tensor:
    """Factors in [0, 1] by which scores shrink, shape (N,)."""
    if method == _GAUSSIAN:
        return torch.exp(-ious.square() / sigma)
    if method not in (_NAIVE, _LINEAR):
        raise ValueError(f'softnms: method must be 0, 1 or 2, got {method}')
    reduced = torch.zeros_like(ious) if method == _NAIVE else 1 - ious
    return torch.where(ious >= iou_threshold, reduced, torch.ones_like(ious))
