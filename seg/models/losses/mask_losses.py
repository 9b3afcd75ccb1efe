"""Losses between mask logits and masks on sampled points."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sample_points(maps: Tensor, sample_coords: Tensor) -> Tensor:
    """Read maps at points, bilinearly.

    Args:
        maps: (N, H, W).
        sample_coords: Points (x, y) in [0, 1], (N, P, 2).

    Returns:
        (N, P), float32.
    """
    grid = sample_coords.unsqueeze(1) * 2 - 1  # (N, 1, P, 2)
    read = F.grid_sample(maps.float().unsqueeze(1), grid, align_corners=False)
    return read[:, 0, 0]


@torch.no_grad()
def uncertain_points(
    mask_logits: Tensor, num_points: int, oversample_ratio: float, importance_ratio: float
) -> Tensor:
    """Points to compute a loss at, mostly where the prediction is undecided.

    Source: Kirillov et al., "PointRend", CVPR 2020, section 3.1, training.

    Args:
        mask_logits: (N, H, W).
        num_points: P.
        oversample_ratio: Candidates drawn per kept point.
        importance_ratio: Share of points taken from the least certain candidates; the rest is
            uniform.

    Returns:
        Points (x, y) in [0, 1], (N, P, 2).
    """
    num_masks, device = len(mask_logits), mask_logits.device
    num_candidates = int(num_points * oversample_ratio)
    num_uncertain = int(num_points * importance_ratio)
    candidates = torch.rand(num_masks, num_candidates, 2, device=device)
    certainty = sample_points(mask_logits, candidates).abs()
    nearest = certainty.topk(num_uncertain, dim=1, largest=False).indices
    chosen = candidates.gather(1, nearest.unsqueeze(-1).expand(-1, -1, 2))
    uniform = torch.rand(num_masks, num_points - num_uncertain, 2, device=device)
    return torch.cat([chosen, uniform], dim=1)


def bce_loss(point_logits: Tensor, point_targets: Tensor) -> Tensor:
    """Binary cross-entropy per mask, mean over its points, (N,); inputs are (N, P)."""
    loss = F.binary_cross_entropy_with_logits(point_logits, point_targets, reduction='none')
    return loss.mean(dim=-1)


def dice_loss(point_logits: Tensor, point_targets: Tensor) -> Tensor:
    """One minus the Dice coefficient per mask, smoothed by one, (N,); inputs are (N, P).

    Source: Milletari et al., "V-Net", 3DV 2016, with plain instead of squared sums below.
    """
    probs = point_logits.sigmoid()
    overlap = (probs * point_targets).sum(dim=-1)
    total = probs.sum(dim=-1) + point_targets.sum(dim=-1)
    return 1 - (2 * overlap + 1) / (total + 1)


@torch.no_grad()
def mask_iou(mask_logits: Tensor, masks: Tensor) -> Tensor:
    """IoU of thresholded logits, enlarged to the size of the masks, with them, (N,).

    Args:
        mask_logits: (N, T, h, w).
        masks: (N, T, H, W), bool.
    """
    if len(masks) == 0:
        return mask_logits.new_zeros(0)
    enlarged = F.interpolate(
        mask_logits.float(), size=masks.shape[-2:], mode='bilinear', align_corners=False
    )
    predicted = enlarged > 0
    intersection = (predicted & masks).flatten(1).sum(dim=1)
    union = (predicted | masks).flatten(1).sum(dim=1)
    return intersection / union.clamp(min=1)
