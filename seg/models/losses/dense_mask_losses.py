"""Losses between mask logits and soft masks on a grid, with a weight for every cell.

All take logits, targets in [0, 1] and weights >= 0, each (N, h, w), and return one loss per mask,
(N,). A cell without weight (ignored, or padding) counts for nothing.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.registry import MODELS
from seg.utils.checks import UserError

_SMOOTHING = 1.0


def _mean(values: Tensor, weights: Tensor) -> Tensor:
    """Weighted mean per mask, (N,)."""
    return (values * weights).flatten(1).sum(dim=1) / weights.flatten(1).sum(dim=1).clamp(min=1e-6)


def _dice(probs: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
    """One minus the smoothed Dice coefficient per mask, (N,)."""
    overlap = (weights * probs * targets).flatten(1).sum(dim=1)
    total = (weights * (probs + targets)).flatten(1).sum(dim=1)
    return 1 - (2 * overlap + _SMOOTHING) / (total + _SMOOTHING)


class DenseMaskLoss(nn.Module):
    """Base of these losses.

    Args:
        weight: Factor of the loss in the sum.
    """

    name = ''

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if weight <= 0:
            raise UserError(
                f'{type(self).__name__}.weight: expected more than 0, got {weight}; leave a loss '
                'out of the list to switch it off'
            )
        self.weight = weight


@MODELS.register_module()
class MaskDiceLoss(DenseMaskLoss):
    """Dice with plain sums below, smoothed by one cell.

    Source: Milletari et al., "V-Net", 3DV 2016, with plain instead of squared sums.
    """

    name = 'dice'

    def forward(self, mask_logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss per mask, (N,), in [0, 1)."""
        return _dice(mask_logits.sigmoid(), targets, weights)


@MODELS.register_module()
class MaskBCELoss(DenseMaskLoss):
    """Binary cross-entropy, mean over the cells."""

    name = 'bce'

    def forward(self, mask_logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss per mask, (N,)."""
        loss = F.binary_cross_entropy_with_logits(mask_logits, targets, reduction='none')
        return _mean(loss, weights)


@MODELS.register_module()
class MaskFocalLoss(DenseMaskLoss):
    """Cross-entropy that counts decided cells less, mean over the cells.

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5. Its mean is
    about a hundred times smaller than Dice, hence SAM's weight of 20.

    Args:
        weight: Factor of the loss in the sum.
        alpha: Weight of foreground; background gets ``1 - alpha``.
        gamma: How strongly decided cells are discounted.
    """

    name = 'focal'

    def __init__(self, weight: float = 20.0, alpha: float = 0.25, gamma: float = 2.0) -> None:
        super().__init__(weight)
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, mask_logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss per mask, (N,)."""
        loss = F.binary_cross_entropy_with_logits(mask_logits, targets, reduction='none')
        probs = mask_logits.sigmoid()
        wrong = probs * (1 - targets) + (1 - probs) * targets
        balance = self.alpha * targets + (1 - self.alpha) * (1 - targets)
        return _mean(balance * wrong**self.gamma * loss, weights)


@MODELS.register_module()
class MaskSoftIoULoss(DenseMaskLoss):
    """One minus the soft Jaccard index, smoothed by one cell.

    It falls and rises with Dice, so using both mostly scales the gradient.
    """

    name = 'soft_iou'

    def forward(self, mask_logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss per mask, (N,), in [0, 1)."""
        probs = mask_logits.sigmoid()
        overlap = (weights * probs * targets).flatten(1).sum(dim=1)
        union = (weights * (probs + targets - probs * targets)).flatten(1).sum(dim=1)
        return 1 - (overlap + _SMOOTHING) / (union + _SMOOTHING)


@MODELS.register_module()
class BoundaryBandLoss(DenseMaskLoss):
    """Dice between the soft outlines of prediction and target.

    The outline is the morphological gradient, the difference of the largest and the smallest value
    within ``width`` cells, so the loss needs no distance transform and lies in [0, 1).

    Args:
        weight: Factor of the loss in the sum.
        width: Half the width of the outline, cells; 3 suits 256 x 256.
    """

    name = 'boundary'

    def __init__(self, weight: float = 1.0, width: int = 3) -> None:
        super().__init__(weight)
        if width < 1:
            raise UserError(f'BoundaryBandLoss.width: expected at least 1, got {width}')
        self.width = width

    def forward(self, mask_logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss per mask, (N,)."""
        return _dice(self._outline(mask_logits.sigmoid()), self._outline(targets), weights)

    def _outline(self, maps: Tensor) -> Tensor:
        side, width = 2 * self.width + 1, self.width
        largest = F.max_pool2d(maps[:, None], side, stride=1, padding=width)
        smallest = -F.max_pool2d(-maps[:, None], side, stride=1, padding=width)
        return (largest - smallest)[:, 0]


def signed_distance(targets: Tensor, limit: float) -> Tensor:
    """Distance to the outline of masks, positive outside, clipped to ``limit``, in [-1, 1].

    Args:
        targets: (N, h, w), in [0, 1]; above one half is inside.
        limit: Distance that becomes 1, cells.

    Returns:
        (N, h, w); zero everywhere for masks without an outline (empty or full).
    """
    import cv2

    maps = torch.zeros(targets.shape)
    for place, mask in zip(maps, (targets > 0.5).cpu(), strict=True):
        if bool(mask.any()) and not bool(mask.all()):
            inside = mask.numpy().astype('uint8')
            outer = cv2.distanceTransform(1 - inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            inner = cv2.distanceTransform(inside, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
            place.copy_(torch.from_numpy(outer - inner))
    return (maps / limit).clamp(-1, 1).to(targets.device)


@MODELS.register_module()
class SignedDistanceLoss(DenseMaskLoss):
    """Probability weighted by the signed distance to the target's outline.

    Source: Kervadec et al., "Boundary loss for highly unbalanced segmentation", MIDL 2019,
    equation 5; distances are clipped and scaled to [-1, 1]. It is linear and negative at its best,
    so use it beside a loss on regions.

    Args:
        weight: Factor of the loss in the sum.
        limit: Distance that counts fully, cells.
    """

    name = 'distance'

    def __init__(self, weight: float = 1.0, limit: float = 16.0) -> None:
        super().__init__(weight)
        if limit <= 0:
            raise UserError(f'SignedDistanceLoss.limit: expected more than 0, got {limit}')
        self.limit = limit

    def forward(self, mask_logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss per mask, (N,), in [-1, 1]."""
        return _mean(mask_logits.sigmoid() * signed_distance(targets, self.limit), weights)


@MODELS.register_module()
class EdgeWeightedBCELoss(DenseMaskLoss):
    """Cross-entropy that counts more near the target's outline.

    Source: Ronneberger et al., "U-Net", MICCAI 2015, equation 2, with one outline per mask.

    Args:
        weight: Factor of the loss in the sum.
        emphasis: Extra weight on the outline itself.
        sigma: How fast it falls with the distance, cells.
    """

    name = 'edge_bce'

    def __init__(self, weight: float = 1.0, emphasis: float = 10.0, sigma: float = 3.0) -> None:
        super().__init__(weight)
        if sigma <= 0:
            raise UserError(f'EdgeWeightedBCELoss.sigma: expected more than 0, got {sigma}')
        self.emphasis = emphasis
        self.sigma = sigma

    def forward(self, mask_logits: Tensor, targets: Tensor, weights: Tensor) -> Tensor:
        """Loss per mask, (N,)."""
        reach = 4 * self.sigma
        distance = signed_distance(targets, reach) * reach
        near = torch.exp(-(distance**2) / (2 * self.sigma**2))
        loss = F.binary_cross_entropy_with_logits(mask_logits, targets, reduction='none')
        return _mean(loss * (1 + self.emphasis * near), weights)
