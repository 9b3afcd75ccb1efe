"""Deformable convolution whose offsets and weights come from its own input."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from seg.models.pixelwise import filter_pixels

_SIDE = 3
_TAPS = _SIDE * _SIDE
CHUNK_VALUES = 1 << 20
"""Sampled values that exist at a time, 4 MiB in float32: about what a core's cache holds."""

DEVICE_CHUNK_VALUES = 1 << 28
"""The same on other devices, 1 GiB: as few calls as possible."""


class ModulatedDeformConv(nn.Module):
    """3x3 deformable convolution v2 whose offsets and weights come from its own input.

    Runs in float32 whatever autocast says: offsets lose sub-pixel precision in half types. Where no
    gradient is wanted, pixels are sampled by :func:`sampled_deform_conv` on a CPU and on streams of
    a GPU that are not the default one (torchvision starts its kernels on the default stream up to
    0.26, https://github.com/pytorch/vision/issues/9513, so that a CUDA graph would go without
    them), and by torchvision's operator otherwise.

    Args:
        in_channels: Channels in.
        out_channels: Channels out.
    """

    bias: nn.Parameter | None

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.offset_conv = nn.Conv2d(in_channels, 3 * _TAPS, _SIDE, padding=1)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, _SIDE, _SIDE))
        self.register_parameter('bias', None)  # comes from a normalisation that is folded in
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start as an ordinary Kaiming-initialised convolution: no offset, weight 1/2 a tap."""
        nn.init.zeros_(self.offset_conv.weight)
        if self.offset_conv.bias is not None:
            nn.init.zeros_(self.offset_conv.bias)
        nn.init.kaiming_uniform_(self.weight, nonlinearity='relu')

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C_in, H, W) to (B, C_out, H, W), float32."""
        with torch.autocast(x.device.type, enabled=False):
            x = x.float()
            raw = self.offset_conv(x)
            offsets, weights = raw.split([2 * _TAPS, _TAPS], dim=1)
            if _samples_itself(x):
                sample = _opaque if torch.compiler.is_compiling() else sampled_deform_conv
                return sample(x, offsets, weights.sigmoid(), self.weight, self.bias)
            return deform_conv2d(
                x, offsets, self.weight, self.bias, padding=1, mask=weights.sigmoid()
            )


def _samples_itself(x: Tensor) -> bool:
    """Files for other programs hold torchvision's operator, which they know."""
    if torch.is_grad_enabled() or torch.jit.is_tracing() or torch.compiler.is_exporting():
        return False
    if x.device.type == 'cuda' and not torch.compiler.is_compiling():
        return torch.cuda.current_stream(x.device) != torch.cuda.default_stream(x.device)
    return x.device.type == 'cpu'


def sampled_deform_conv(
    x: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor | None = None
) -> Tensor:
    """3x3 deformable convolution with padding 1 as weighted sums of pixels, and filters of them.

    Source: Zhu et al., "Deformable ConvNets v2", CVPR 2019, Eq. 1. torchvision's operator for
    CPUs samples value by value in one thread. Here each sample is the weighted sum of four rows
    of channels, which ``embedding_bag`` computes in parallel and with vector instructions; samples
    of a few pixels at a time are filtered while they are in the cache.

    Args:
        x: (B, C, H, W).
        offsets: (dy, dx) of each tap, interleaved, (B, 18, H, W), pixels.
        modulation: Weight of each tap, (B, 9, H, W).
        weight: (C', C, 3, 3).
        bias: (C',).

    Returns:
        (B, C', H, W), in channels_last layout.
    """
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).reshape(-1, channels)
    index, share = _corners(offsets, modulation)
    filters = weight.permute(0, 2, 3, 1).flatten(1)
    values = CHUNK_VALUES if x.device.type == 'cpu' else DEVICE_CHUNK_VALUES
    step = max(1, values // (_TAPS * channels))
    parts = []
    for start in range(0, len(rows), step):
        part = slice(start * _TAPS, (start + step) * _TAPS)
        samples = nn.functional.embedding_bag(
            index[part], rows, per_sample_weights=share[part], mode='sum'
        ).view(1, -1, 1, _TAPS * channels)
        filtered = filter_pixels(samples.permute(0, 3, 1, 2), filters)
        parts.append(filtered.permute(0, 2, 3, 1).flatten(0, 2))
    out = torch.cat(parts) if len(parts) > 1 else parts[0]
    if bias is not None:
        out += bias
    return out.view(batch, height, width, -1).permute(0, 3, 1, 2)


def _corners(offsets: Tensor, modulation: Tensor) -> tuple[Tensor, Tensor]:
    """Rows of pixels around each sample and their shares, (B * H * W * 9, 4) each.

    Corners outside of the picture have the share 0.
    """
    batch, _, height, width = offsets.shape
    taps = torch.arange(_SIDE, device=offsets.device) - 1
    places = offsets.unflatten(1, (_TAPS, 2)).permute(2, 0, 3, 4, 1)  # (2, B, H, W, 9)
    y, x = places
    y = y + torch.arange(height, device=y.device)[:, None, None] + taps.repeat_interleave(_SIDE)
    x = x + torch.arange(width, device=x.device)[:, None] + taps.repeat(_SIDE)
    weight = modulation.permute(0, 2, 3, 1)
    first = torch.arange(batch, device=y.device)[:, None, None, None] * (height * width)
    indices, shares = [], []
    for row, row_share in _sides(y, height):
        for column, column_share in _sides(x, width):
            indices.append(row.clamp(0, height - 1) * width + column.clamp(0, width - 1) + first)
            shares.append(row_share * column_share * weight)
    return torch.stack(indices, -1).view(-1, 4), torch.stack(shares, -1).view(-1, 4)


def _sides(place: Tensor, length: int) -> list[tuple[Tensor, Tensor]]:
    """The whole numbers below and above places and their shares, 0 outside of [0, length)."""
    below = place.floor()
    part = place - below
    # Far away is outside as well, and fits an integer.
    index = below.clamp(-2, length).int()
    return [
        (index, (1 - part) * ((index >= 0) & (index < length))),
        (index + 1, part * ((index >= -1) & (index < length - 1))),
    ]


@torch.library.custom_op('rapsam::sampled_deform_conv', mutates_args=())
def _opaque(
    x: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    """:func:`sampled_deform_conv` as one operator, whose loop a compiler does not unroll."""
    return sampled_deform_conv(x, offsets, modulation, weight, bias).clone()


@_opaque.register_fake
def _(
    x: Tensor, offsets: Tensor, modulation: Tensor, weight: Tensor, bias: Tensor | None
) -> Tensor:
    shape = (x.shape[0], weight.shape[0], *x.shape[2:])
    return x.new_empty(shape).to(memory_format=torch.channels_last)
