"""Query masks as windows: what features lie under each mask, and the mask each query draws."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seg.models.pixelwise import are_convolved_as_they_lie, filter_pixels, sum_pixels
from seg.registry import MODELS


def draw_masks(kernels: Tensor, mask_features: Tensor) -> Tensor:
    """Apply queries as 1x1 dynamic filters.

    Runs in float32 whatever autocast says: the sign of a logit near zero decides what the next
    stage pools.

    Args:
        kernels: (B, Q, C).
        mask_features: (B, T, C, h, w).

    Returns:
        Mask logits, (B, Q, T, h, w), float32. Those of one picture lie pixel by pixel in memory
        where its features do.
    """
    with torch.autocast(mask_features.device.type, enabled=False):
        if mask_features.shape[:2] == (1, 1) and are_convolved_as_they_lie(mask_features[0]):
            drawn = filter_pixels(mask_features[0].float(), kernels[0].float())
            return drawn.transpose(0, 1).unsqueeze(0)
        pixels = mask_features.float().flatten(3)  # (B, T, C, hw)
        logits = kernels.float().unsqueeze(1) @ pixels  # (B, T, Q, hw)
    return logits.transpose(1, 2).unflatten(-1, mask_features.shape[-2:])


def pool_under(weights: Tensor, mask_features: Tensor) -> Tensor:
    """Weighted sum of features over all pixels of all frames, (B, Q, C).

    Args:
        weights: (B, Q, T, h, w).
        mask_features: (B, T, C, h, w).
    """
    frames = mask_features.shape[:2]
    each = sum_pixels(weights.transpose(1, 2).flatten(0, 1), mask_features.flatten(0, 1))
    return each.unflatten(0, frames).sum(dim=1)


@MODELS.register_module()
class HardMaskSumPooling(nn.Module):
    """Sum of the features where a mask's probability exceeds one half; no gradient to the mask.

    The public model's pooling. Sums reach the number of pixels times the feature's size, so this
    runs in float32 whatever autocast says.
    """

    def forward(self, mask_logits: Tensor, mask_features: Tensor) -> Tensor:
        """Pool (B, T, C, h, w) under (B, Q, T, h, w) to (B, Q, C), float32."""
        with torch.autocast(mask_features.device.type, enabled=False):
            return pool_under((mask_logits > 0).float(), mask_features.float())


@MODELS.register_module()
class SoftMaskMeanPooling(nn.Module):
    """Mean of the features weighted by mask probability.

    Differs from the public pooling in being independent of the object's size and in passing
    gradients to the mask, both of which matter when training from scratch.
    """

    def forward(self, mask_logits: Tensor, mask_features: Tensor) -> Tensor:
        """Pool (B, T, C, h, w) under (B, Q, T, h, w) to (B, Q, C), float32."""
        with torch.autocast(mask_features.device.type, enabled=False):
            probs = mask_logits.float().sigmoid()
            area = probs.sum(dim=(2, 3, 4)).unsqueeze(-1)
            return pool_under(probs, mask_features.float()) / area.clamp(min=1.0)
