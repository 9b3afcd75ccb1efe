"""A dense class prediction that exists only to teach the features."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.losses import Targets
from seg.models.losses.steering import Steered
from seg.registry import MODELS


class SemanticTargets(NamedTuple):
    """What pixels should say.

    Attributes:
        labels: Class of each pixel, (B*T, h, w), int64.
        weights: Of each pixel, (B*T, h, w); 0 where no class is known. Those of a picture sum to
            the number of its segments.
    """

    labels: Tensor
    weights: Tensor

    @property
    def num_segments(self) -> Tensor:
        """How many segments there are, scalar."""
        return self.weights.sum()


@MODELS.register_module()
class SemanticAuxiliary(Steered, BaseModule):
    """Classifies every pixel of ``mask_features`` in training; unused in inference.

    A set loss reaches the backbone only through the few queries that are matched; from scratch
    a dense loss gets class evidence into the features many times sooner.

    Args:
        feat_channels: Width C.
        num_classes: K.
        balance: From 0, every pixel counts alike, to 1, every segment does, whatever its size.
            Pixels get large segments learned within a few hundred steps; segments make small
            objects count.

    Raises:
        ValueError: If ``balance`` is not in [0, 1].
    """

    def __init__(
        self,
        feat_channels: int,
        num_classes: int,
        *,
        balance: float = 1.0,
        alone_until: float = 0.0,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if not 0 <= balance <= 1:
            raise ValueError(f'SemanticAuxiliary.balance: expected 0 to 1, got {balance}')
        if not 0 <= alone_until < 1:
            raise ValueError(
                'SemanticAuxiliary.alone_until: expected 0 or more and less than 1, got '
                f'{alone_until}'
            )
        self.balance = balance
        self.alone_until = alone_until
        self.conv = nn.Conv2d(feat_channels, num_classes, 1)

    @property
    def is_alone(self) -> bool:
        """Whether nothing else is to be trained at this point of the training.

        Raises:
            UserError: If that depends on the progress, which nobody tells.
        """
        return self.alone_until > 0 and self.require_steering() < self.alone_until

    def steering_state(self) -> dict[str, Tensor]:
        """Nothing: what is computed follows from the progress alone."""
        return {}

    def load_steering_state(self, state: dict[str, Tensor]) -> None:
        """Take up nothing."""

    def prepare(self, mask_features: Tensor, targets: Sequence[Targets]) -> SemanticTargets:
        """What pixels should say.

        Args:
            mask_features: (B, T, C, h, w).
            targets: One per clip, masks at any larger size.
        """
        size = mask_features.shape[-2:]
        labels, weights = [], []
        for target in targets:
            classes, shares = _label_map(target, size)
            known = shares > 0
            alike = known * (shares.sum() / known.sum().clamp(min=1))
            labels.append(classes)
            weights.append(self.balance * shares + (1 - self.balance) * alike)
        return SemanticTargets(torch.cat(labels), torch.cat(weights))

    def loss(
        self,
        mask_features: Tensor,
        prepared: SemanticTargets,
        num_segments: Tensor | float | None = None,
    ) -> Tensor:
        """Weighted cross-entropy of all pixels; segments of unknown class do not count.

        Args:
            mask_features: (B, T, C, h, w).
            prepared: From :meth:`prepare`.
            num_segments: Number of segments averaged over processes; that of this batch when left
                out.
        """
        logits = self.conv(mask_features.flatten(0, 1)).float()
        loss = F.cross_entropy(logits, prepared.labels, reduction='none')
        divisor = prepared.num_segments if num_segments is None else num_segments
        return (loss * prepared.weights).sum() / torch.as_tensor(divisor).clamp(min=1.0)


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
