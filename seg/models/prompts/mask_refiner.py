"""Masks of prompted objects, mended where the prompts say that they are wrong."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.decoders.layers import start_at_zero
from seg.models.decoders.pooling import SoftMaskMeanPooling
from seg.registry import MODELS

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
        batch_size, num_queries, num_frames = mask_logits.shape[:3]
        shared = self.feat_conv(mask_features.flatten(0, 1)).unflatten(0, (batch_size, 1, -1))
        scaled = mask_logits.clamp(-_MAX_LOGIT, _MAX_LOGIT).unsqueeze(3) / _MAX_LOGIT
        maps = _channels_last(torch.cat([scaled, hints.to(scaled)], dim=3).flatten(0, 2))
        own = self.hint_conv(maps).unflatten(0, (batch_size, num_queries, num_frames))
        unlike = self._unlikeness(mask_features, mask_logits)
        x = _channels_last((own + shared + self.unlike_scale * unlike).flatten(0, 2)).relu()
        for conv in self.convs:
            x = x + conv(x).relu()
        change = self._change(x).unflatten(0, (batch_size, num_queries, num_frames))
        refined = mask_logits + change.float()
        return RefinedMasks(refined, self._judge(x, refined))

    def _change(self, x: Tensor) -> Tensor:
        """What to add to each mask, (N, h, w); a matrix product, with channels last already."""
        weight = self.mask_conv.weight.flatten(1)
        return F.linear(x.permute(0, 2, 3, 1), weight, self.mask_conv.bias).squeeze(-1)

    def _unlikeness(self, mask_features: Tensor, mask_logits: Tensor) -> Tensor:
        """How each cell differs from the mean look under each mask, (B, Q, T, hidden, h, w)."""
        looks = self.look_conv(mask_features.flatten(0, 1))
        looks = looks.unflatten(0, mask_features.shape[:2])  # (B, T, hidden, h, w)
        mean = self.pooling(mask_logits.detach(), looks)  # (B, Q, hidden)
        return (looks.unsqueeze(1) - mean[:, :, None, :, None, None].to(looks)).abs()

    def _judge(self, x: Tensor, refined: Tensor) -> Tensor:
        """Change of the quality estimate, (B, Q), from what lies inside and at the border."""
        probs = refined.detach().sigmoid().flatten(0, 2).unsqueeze(1)
        border = 4 * probs * (1 - probs)
        pooled = [
            (x * weight).sum(dim=(2, 3)) / weight.sum(dim=(2, 3)).clamp(min=1)
            for weight in (probs, border)
        ]
        judged = self.iou_proj(torch.cat(pooled, dim=1)).squeeze(-1)
        return judged.unflatten(0, refined.shape[:3]).mean(dim=2)


def _channels_last(x: Tensor) -> Tensor:
    """The same values with channels beside each other: few of them convolve twice as fast so."""
    return x.contiguous(memory_format=torch.channels_last)
