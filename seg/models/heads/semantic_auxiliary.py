"""A dense class prediction that exists only to teach the features."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.losses import Targets
from seg.registry import MODELS


@MODELS.register_module()
class SemanticAuxiliary(BaseModule):
    """Classifies every pixel of ``mask_features`` in training; unused in inference.

    A set loss reaches the backbone only through the few queries that are matched; from scratch
    a dense loss gets class evidence into the features many times sooner.

    Args:
        feat_channels: Width C.
        num_classes: K.
    """

    def __init__(
        self, feat_channels: int, num_classes: int, *, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        self.conv = nn.Conv2d(feat_channels, num_classes, 1)

    def loss(self, mask_features: Tensor, targets: list[Targets]) -> Tensor:
        """Cross-entropy, first averaged over the pixels of each segment, then over segments.

        Small objects so count as much as the background that surrounds them. Segments of unknown
        class do not count.

        Args:
            mask_features: (B, T, C, h, w).
            targets: One per clip, masks at any larger size.
        """
        logits = self.conv(mask_features.flatten(0, 1)).float()
        size = logits.shape[-2:]
        labels, shares = zip(*(_label_map(target, size) for target in targets), strict=True)
        weights = torch.cat(shares)
        loss = F.cross_entropy(logits, torch.cat(labels), reduction='none')
        return (loss * weights).sum() / weights.sum().clamp(min=1.0)


def _label_map(target: Targets, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Class of each pixel and its share of its segment, (T, h, w) each, nearest neighbour."""
    masks = F.interpolate(target.masks.float(), size=size, mode='nearest') > 0.5
    shape = (target.masks.shape[1], *size)
    labels = torch.zeros(shape, dtype=torch.long, device=masks.device)
    shares = torch.zeros(shape, device=masks.device)
    for mask, label in zip(masks, target.labels, strict=True):
        if label >= 0:
            labels[mask] = label
            shares[mask] = 1 / mask.sum().clamp(min=1)
    return labels, shares
