"""YOSO's feature aggregator: a deformable top-down path summed into one map at stride 4."""

from __future__ import annotations

from typing import NamedTuple

import torch
from mmcv.cnn import build_norm_layer
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.necks.deform_conv import ModulatedDeformConv
from seg.models.prompts.positional import axis_coordinates
from seg.registry import MODELS


class NeckOutput(NamedTuple):
    """What the decoder sees of the pixels.

    Attributes:
        mask_features: Per-pixel embedding that queries are dotted with, (B, C, H/4, W/4).
        context_feats: Coarse features for cross-attention, (B, C, H/16, W/16); ``None``
            when the neck was built without them.
    """

    mask_features: Tensor
    context_feats: Tensor | None


@MODELS.register_module()
class ConvUpBlock(nn.Module):
    """Plain convolution, then bilinear enlargement: the cheap block for small models and CPUs.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        norm_cfg: Normalisation after the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.norm = build_norm_layer(norm_cfg, out_channels)[1]

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, 2H, 2W)."""
        x = F.relu(self.norm(self.conv(x)), inplace=True)
        return F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)


@MODELS.register_module()
class DeformUpBlock(nn.Module):
    """Deformable convolution, then a transposed convolution to twice the size.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
        norm_cfg: Normalisation after each of the two convolutions.
    """

    def __init__(self, in_channels: int, out_channels: int, norm_cfg: dict) -> None:
        super().__init__()
        self.deform_conv = ModulatedDeformConv(in_channels, out_channels)
        self.deform_norm = build_norm_layer(norm_cfg, out_channels)[1]
        self.up_conv = nn.ConvTranspose2d(
            out_channels, out_channels, 4, stride=2, padding=1, bias=False
        )
        self.up_norm = build_norm_layer(norm_cfg, out_channels)[1]
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start the enlargement as a bilinear one."""
        _bilinear_kernel_(self.up_conv.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, 2H, 2W)."""
        x = F.relu(self.deform_norm(self.deform_conv(x)), inplace=True)
        return F.relu(self.up_norm(self.up_conv(x)), inplace=True)


def _bilinear_kernel_(weight: Tensor) -> None:
    """Fill a 4x4 transposed convolution so that it enlarges each channel bilinearly."""
    ramp = torch.tensor([0.25, 0.75, 0.75, 0.25])
    with torch.no_grad():
        weight.zero_()
        diagonal = torch.arange(min(weight.shape[:2]))
        weight[diagonal, diagonal] = torch.outer(ramp, ramp).to(weight)


@MODELS.register_module()
class YOSONeck(BaseModule):
    """Aggregates a four-level pyramid into one map at stride 4, with pixel coordinates appended.

    Source: Hu et al., "You Only Segment Once", CVPR 2023, section 3.2, in the layout of RapSAM.

    Args:
        in_channels: Widths of the pyramid, fine to coarse.
        lateral_channels: Widths of the top-down path, fine to coarse; half of ``in_channels``
            when left out, as in the public model.
        agg_channels: Width in which the levels are summed.
        feat_channels: Width of the result.
        up_block: How a level is enlarged to the next finer one, :class:`DeformUpBlock` (as
            published) or :class:`ConvUpBlock`.
        norm_features: Whether the summed features are normalised before the last layer, which
            keeps the scale of mask logits steady; the published model does not.
        context: Whether stride-16 features are returned too, at the same width.
        norm_cfg: Normalisation of the top-down path.
        faithful_init: Xavier for every weight as the public model does, offset convolutions
            included. Off, offsets start at zero, deformable convolutions at Kaiming,
            enlargements at bilinear and the last layer small, which trains far better from
            scratch.
    """

    def __init__(
        self,
        in_channels: tuple[int, ...],
        *,
        lateral_channels: tuple[int, ...] | None = None,
        agg_channels: int = 128,
        feat_channels: int = 256,
        up_block: dict | None = None,
        norm_features: bool = False,
        context: bool = False,
        norm_cfg: dict | None = None,
        faithful_init: bool = False,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if len(in_channels) != 4:
            raise ValueError(
                f'YOSONeck.in_channels: expected four levels (strides 4, 8, 16, 32), '
                f'got {in_channels}'
            )
        norm_cfg = norm_cfg or dict(type='BN')
        widths = lateral_channels or tuple(width // 2 for width in in_channels)
        self.lateral_convs = nn.ModuleList(
            nn.Conv2d(wide, width, 1) for wide, width in zip(in_channels, widths, strict=True)
        )
        up_block = up_block or dict(type='DeformUpBlock')
        self.up_blocks = nn.ModuleList(
            MODELS.build(
                dict(
                    in_channels=widths[level + 1],
                    out_channels=widths[level],
                    norm_cfg=norm_cfg,
                    **up_block,
                )
            )
            for level in range(3)
        )
        self.reduce_convs = nn.ModuleList(
            nn.Conv2d(width, agg_channels, 1, bias=False) for width in widths
        )
        self.agg_bias = nn.Parameter(torch.zeros(1, agg_channels, 1, 1))
        self.agg_conv = nn.Conv2d(agg_channels, agg_channels, 3, padding=1)
        self.agg_norm = (
            build_norm_layer(norm_cfg, agg_channels)[1] if norm_features else nn.Identity()
        )
        self.out_conv = nn.Conv2d(agg_channels + 2, feat_channels, 1)
        self.context_conv = nn.Conv2d(widths[2], feat_channels, 1) if context else None
        if faithful_init:
            self._xavier_everywhere()
        else:
            # Queries of unit variance then start with mask logits of about unit size.
            self.out_conv.weight.data.mul_(feat_channels**-0.5)

    @property
    def gives_context(self) -> bool:
        """Whether the result has context features."""
        return self.context_conv is not None

    def _xavier_everywhere(self) -> None:
        for parameter in self.parameters():
            if parameter.ndim > 1:
                nn.init.xavier_uniform_(parameter)

    def forward(self, feats: tuple[Tensor, ...]) -> NeckOutput:
        """Aggregate a pyramid.

        Args:
            feats: Four maps, fine to coarse, (B, C_i, H / 2^(i+2), W / 2^(i+2)); H and W are
                multiples of 32.
        """
        level = self.lateral_convs[3](feats[3])
        levels = [level]
        for i in (2, 1, 0):
            level = self.up_blocks[i](level) + self.lateral_convs[i](feats[i])
            levels.insert(0, level)
        total = self.reduce_convs[0](levels[0])
        for i in (1, 2, 3):
            reduced = self.reduce_convs[i](levels[i])
            if i == 3:  # a constant can be added where the map is smallest
                reduced = reduced + self.agg_bias
            total += F.interpolate(reduced, scale_factor=2**i, mode='bilinear', align_corners=False)
        mask_features = self._place(self.agg_norm(self.agg_conv(total)))
        context = None if self.context_conv is None else self.context_conv(levels[2])
        return NeckOutput(mask_features, context)

    def _place(self, total: Tensor) -> Tensor:
        """The last layer on summed features (B, C_a, h, w) with their coordinates appended.

        Coordinates are the same along rows or columns, so what the layer makes of them is added
        to its result instead of running it on more channels.
        """
        weight = self.out_conv.weight
        features = F.conv2d(total, weight[:, :-2], self.out_conv.bias)
        for axis, share in ((3, weight[:, -2]), (2, weight[:, -1])):
            steps = axis_coordinates(features.shape[axis], features.device)
            shape = [1, -1, 1, 1]
            shape[axis] = len(steps)
            # In the layout of the features, so that the sum is one pass over rows of channels.
            added = (share.flatten().float() * steps[:, None]).to(features)  # (steps, C)
            features = features.add_(added.T.reshape(shape))
        return features
