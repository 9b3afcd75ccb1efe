"""Where masks are compared: at sampled points, or everywhere on a coarse grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.losses.mask_losses import sample_points, uncertain_points
from seg.registry import MODELS


class SampledMasks(NamedTuple):
    """Logits and targets at the same places.

    Attributes:
        logits: (Q, P) for matching, (M, P) for the loss.
        targets: In [0, 1], (N, P) for matching, (M, P) for the loss.
    """

    logits: Tensor
    targets: Tensor


@MODELS.register_module()
class PointSampling(nn.Module):
    """Random points; for the loss, most of them where the prediction is undecided.

    Source: Cheng et al., "Mask2Former", CVPR 2022, section 3.3. Frames of a clip are treated as
    one strip. Small objects need many points: with P points on a picture of S pixels, an object
    of A pixels meets P * A / S of them in matching.

    Args:
        num_points: Points P per mask.
        oversample_ratio: Candidates per point for the loss.
        importance_ratio: Share of the points that is taken where the mask is undecided.
    """

    def __init__(
        self,
        num_points: int = 12544,
        *,
        oversample_ratio: float = 3.0,
        importance_ratio: float = 0.75,
    ) -> None:
        super().__init__()
        self.num_points = num_points
        self.oversample_ratio = oversample_ratio
        self.importance_ratio = importance_ratio

    def prepare(self, masks: Tensor, size: Sequence[int]) -> Tensor:
        """What the other methods take for the masks (N, T, H, W) of a clip: the masks."""
        return masks

    def for_matching(self, mask_logits: Tensor, masks: Tensor) -> SampledMasks:
        """Read all masks at the same points.

        Args:
            mask_logits: (Q, T, h, w).
            masks: N prepared masks.
        """
        coords = torch.rand(1, self.num_points, 2, device=mask_logits.device)
        return SampledMasks(_read_strip(mask_logits, coords), _read_strip(masks, coords))

    def for_loss(self, mask_logits: Tensor, masks: Tensor) -> SampledMasks:
        """Read each pair of masks at points of its own.

        Args:
            mask_logits: (M, T, h, w).
            masks: M prepared masks.
        """
        strips = mask_logits.flatten(1, 2)
        coords = uncertain_points(
            strips.detach(), self.num_points, self.oversample_ratio, self.importance_ratio
        )
        return SampledMasks(
            sample_points(strips, coords), sample_points(masks.flatten(1, 2), coords)
        )


@MODELS.register_module()
class GridSampling(nn.Module):
    """Every cell of the logits' own grid; a cell's target is the share of it that is covered.

    Nothing is random and no object is too small to be met, which suits small pictures.
    """

    def prepare(self, masks: Tensor, size: Sequence[int]) -> Tensor:
        """Share of each cell that masks (N, T, H, W) cover, (N, T, *size), float32."""
        if len(masks) == 0:
            return masks.new_zeros(0, masks.shape[1], *size, dtype=torch.float32)
        return F.adaptive_avg_pool2d(masks.float(), (size[0], size[1]))

    def for_matching(self, mask_logits: Tensor, masks: Tensor) -> SampledMasks:
        """Cells of all masks; shapes as in :meth:`PointSampling.for_matching`."""
        return SampledMasks(mask_logits.flatten(1), masks.flatten(1))

    def for_loss(self, mask_logits: Tensor, masks: Tensor) -> SampledMasks:
        """Cells of pairs of masks; shapes as in :meth:`PointSampling.for_loss`."""
        return self.for_matching(mask_logits, masks)


def _read_strip(maps: Tensor, coords: Tensor) -> Tensor:
    """Read (N, T, H, W) at points (1, P, 2) of the strip of its frames, (N, P)."""
    strip = maps.flatten(1, 2).float()[None]  # (1, N, T*H, W)
    read = F.grid_sample(strip, coords.unsqueeze(1) * 2 - 1, align_corners=False)
    return read[0, :, 0]
