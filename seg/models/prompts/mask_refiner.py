"""Masks of prompted objects, mended where the prompts say that they are wrong."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn

from seg.models.decoders.layers import start_at_zero
from seg.models.decoders.pooling import SoftMaskMeanPooling
from seg.models.pixelwise import filter_pixels, pointwise, sum_pixels
from seg.registry import MODELS
from seg.utils.devices import rows_at_once

NUM_HINTS = 4
_MAX_LOGIT = 8.0


class RefinedMasks(NamedTuple):
    """What a refiner returns.

    Attributes:
        mask_logits: (B, Q, T, h, w).
        iou_change: What to add to the quality estimate, (B, Q).
    """

    mask_logits: Tensor
    iou_change: Tensor


@MODELS.register_module()
class MaskRefiner(BaseModule):
    """A small convolutional network over one mask and the hints about it.

    A query's mask is a product of the query with features, so a correcting click can only change
    it everywhere that looks alike. Here positive and negative clicks, the box and the last
    answer become maps beside the mask, as in Sofiiuk et al., "Reviving Iterative Training with
    Mask Guidance for Interactive Segmentation", ICIP 2022, but on features that all objects of a
    picture share, and on how these differ from the mean under the mask. The last layers start at
    zero: a new refiner changes nothing.

    Args:
        feat_channels: Width C of the mask features.
        hidden_channels: Width of the refiner.
        dilations: One 3x3 convolution each, with a residual, after the first one.
    """

    def __init__(
        self,
        feat_channels: int,
        *,
        hidden_channels: int = 16,
        dilations: tuple[int, ...] = (2, 4),
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        hidden = hidden_channels
        self.feat_conv = nn.Conv2d(feat_channels, hidden, 1)
        self.look_conv = nn.Conv2d(feat_channels, hidden, 1)
        self.unlike_scale = nn.Parameter(torch.full((hidden, 1, 1), -1.0))
        self.hint_conv = nn.Conv2d(1 + NUM_HINTS, hidden, 3, padding=1)
        self.convs = nn.ModuleList(
            nn.Conv2d(hidden, hidden, 3, padding=d, dilation=d) for d in dilations
        )
        self.mask_conv = nn.Conv2d(hidden, 1, 1)
        self.iou_proj = nn.Linear(2 * hidden, 1)
        self.pooling = SoftMaskMeanPooling()
        start_at_zero(self.mask_conv)
        start_at_zero(self.iou_proj)

    def forward(self, mask_features: Tensor, mask_logits: Tensor, hints: Tensor) -> RefinedMasks:
        """Refine masks.

        Args:
            mask_features: (B, T, C, h, w).
            mask_logits: (B, Q, T, h, w).
            hints: Maps about each mask in about [-1, 1], (B, Q, T, NUM_HINTS, h, w).
        """
        convs = self.feat_conv, self.look_conv
        both = filter_pixels(
            mask_features.flatten(0, 1),
            torch.cat([conv.weight.flatten(1) for conv in convs]),
            torch.cat([conv.bias for conv in convs if conv.bias is not None]),
        )
        both = both.unflatten(0, mask_features.shape[:2])
        count = rows_at_once(both.numel() // 2, both.device)
        parts = [
            self._refine(both, *some)
            for some in zip(mask_logits.split(count, dim=1), hints.split(count, dim=1), strict=True)
        ]
        return RefinedMasks(
            torch.cat([part.mask_logits for part in parts], dim=1),
            torch.cat([part.iou_change for part in parts], dim=1),
        )

    def _refine(self, both: Tensor, mask_logits: Tensor, hints: Tensor) -> RefinedMasks:
        """Refine some of the masks; features and looks are (B, T, 2 * hidden, h, w)."""
        rows, (shared, looks) = mask_logits.shape[:3], both.chunk(2, dim=2)
        # Of all channels, which lie beside each other: that is faster than of half of them.
        _, mean = self.pooling(mask_logits.detach(), both).chunk(2, dim=2)
        scaled = mask_logits.clamp(-_MAX_LOGIT, _MAX_LOGIT).unsqueeze(3) / _MAX_LOGIT
        maps = _channels_last(torch.cat([scaled, hints.to(scaled)], dim=3).flatten(0, 2))
        own = self.hint_conv(maps).unflatten(0, rows)
        common = own + shared.unsqueeze(1)
        sums = torch.addcmul(common, self.unlike_scale, _unlikeness(looks, mean))
        x = _channels_last(sums.flatten(0, 2)).relu_()
        for conv in self.convs:
            x = x + conv(x).relu_()
        change = pointwise(self.mask_conv, x).squeeze(1)
        refined = mask_logits + change.unflatten(0, rows).float()
        return RefinedMasks(refined, self._judge(x, refined))

    def _judge(self, x: Tensor, refined: Tensor) -> Tensor:
        """Change of the quality estimate, (B, Q), from what lies inside and at the border."""
        probs = refined.detach().sigmoid().flatten(0, 2)
        weights = torch.stack([probs, 4 * probs * (1 - probs)], dim=1)  # (N, 2, h, w)
        with torch.autocast(x.device.type, enabled=False):
            sums = sum_pixels(weights, x.float())  # (N, 2, hidden)
        pooled = sums / weights.sum(dim=(2, 3)).clamp(min=1).unsqueeze(2)
        judged = self.iou_proj(pooled.flatten(1)).squeeze(-1)
        return judged.unflatten(0, refined.shape[:3]).mean(dim=2)


def _unlikeness(looks: Tensor, mean: Tensor) -> Tensor:
    """How each cell differs from the mean look under each mask, (B, Q, T, hidden, h, w).

    Args:
        looks: (B, T, hidden, h, w).
        mean: (B, Q, hidden).
    """
    return (looks.unsqueeze(1) - mean[:, :, None, :, None, None].to(looks)).abs()


def _channels_last(x: Tensor) -> Tensor:
    """The same values with channels beside each other: few of them convolve twice as fast so."""
    return x.contiguous(memory_format=torch.channels_last)
