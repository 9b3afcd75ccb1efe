"""The published neck, plainly."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import deform_conv2d


class PlainDeformLayer(nn.Module):
    """Deformable convolution and enlargement by two."""

    def __init__(self, wide: int, narrow: int) -> None:
        super().__init__()
        self.dcn_offset = nn.Conv2d(wide, 27, 3, padding=1)
        self.dcn = nn.Conv2d(wide, narrow, 3, padding=1, bias=False)
        self.dcn_bn = nn.BatchNorm2d(narrow)
        self.up_sample = nn.ConvTranspose2d(narrow, narrow, 4, stride=2, padding=1, bias=False)
        self.up_bn = nn.BatchNorm2d(narrow)

    def forward(self, x: Tensor) -> Tensor:
        """(B, wide, H, W) to (B, narrow, 2H, 2W)."""
        raw = self.dcn_offset(x)
        y = deform_conv2d(x, raw[:, :18], self.dcn.weight, padding=1, mask=raw[:, 18:].sigmoid())
        y = F.relu(self.dcn_bn(y))
        return F.relu(self.up_bn(self.up_sample(y)))


class _TopDown(nn.Module):
    """Levels are counted from the coarsest, as in published checkpoints."""

    def __init__(self, widths: Sequence[int], agg: int = 128) -> None:
        super().__init__()
        narrow = [width // 2 for width in widths]
        self.bias = nn.Parameter(torch.zeros(1, agg, 1, 1))
        self.lateral_conv0 = nn.Conv2d(widths[3], narrow[3], 1)
        self.lateral_conv1 = nn.Conv2d(widths[2], narrow[2], 1)
        self.lateral_conv2 = nn.Conv2d(widths[1], narrow[1], 1)
        self.lateral_conv3 = nn.Conv2d(widths[0], narrow[0], 1)
        self.deform_conv1 = PlainDeformLayer(narrow[3], narrow[2])
        self.deform_conv2 = PlainDeformLayer(narrow[2], narrow[1])
        self.deform_conv3 = PlainDeformLayer(narrow[1], narrow[0])
        self.conv_a5 = nn.Conv2d(narrow[3], agg, 1, bias=False)
        self.conv_a4 = nn.Conv2d(narrow[2], agg, 1, bias=False)
        self.conv_a3 = nn.Conv2d(narrow[1], agg, 1, bias=False)
        self.conv_a2 = nn.Conv2d(narrow[0], agg, 1, bias=False)
        self.output_conv = nn.Conv2d(agg, agg, 3, padding=1)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        c2, c3, c4, c5 = feats
        x5 = self.lateral_conv0(c5)
        x4 = self.lateral_conv1(c4) + self.deform_conv1(x5)
        x3 = self.lateral_conv2(c3) + self.deform_conv2(x4)
        x2 = self.lateral_conv3(c2) + self.deform_conv3(x3)
        total = _enlarged(self.conv_a5(x5), 8) + _enlarged(self.conv_a4(x4), 4)
        total = total + _enlarged(self.conv_a3(x3), 2) + self.conv_a2(x2) + self.bias
        return self.output_conv(total)


class PlainNeck(nn.Module):
    """From four levels to one map of 256 channels at stride 4.

    Args:
        widths: Of the levels, fine to coarse.
    """

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.deconv = _TopDown(widths)
        self.loc_conv = nn.Conv2d(130, 256, 1)

    def forward(self, feats: Sequence[Tensor]) -> Tensor:
        """(B, 256, H/4, W/4) of four levels, fine to coarse."""
        total = self.deconv(feats)
        height, width = total.shape[-2:]
        y, x = torch.meshgrid(
            torch.linspace(-1, 1, height, device=total.device),
            torch.linspace(-1, 1, width, device=total.device),
            indexing='ij',
        )
        coords = torch.stack([x, y]).expand(len(total), -1, -1, -1)
        return self.loc_conv(torch.cat([total, coords], dim=1))


def _enlarged(x: Tensor, factor: int) -> Tensor:
    return F.interpolate(x, scale_factor=factor, mode='bilinear', align_corners=False)
