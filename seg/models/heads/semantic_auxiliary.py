"""A dense class prediction that exists only to teach the features."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.losses import Targets
from seg.registry import MODELS

_VOID = -1


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
        """Mean cross-entropy over pixels that belong to a segment of known class.

        Args:
            mask_features: (B, T, C, h, w).
            targets: One per clip, masks at any larger size.
        """
        logits = self.conv(mask_features.flatten(0, 1)).float()
        size = logits.shape[-2:]
        labels = torch.cat([_label_map(target, size) for target in targets])
        loss = F.cross_entropy(logits, labels, ignore_index=_VOID, reduction='sum')
        return loss / (labels != _VOID).sum().clamp(min=1)


def _label_map(target: Targets, size: tuple[int, int]) -> Tensor:
    """Class of each pixel, (T, h, w), nearest neighbour; void where no segment is."""
    masks = F.interpolate(target.masks.float(), size=size, mode='nearest') > 0.5
    num_frames = target.masks.shape[1]
    labels = torch.full((num_frames, *size), _VOID, device=masks.device)
    for mask, label in zip(masks, target.labels, strict=True):
        labels[mask] = label
    return labels
