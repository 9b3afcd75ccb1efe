"""Masks on a finer grid than that of the mask features."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.pixelwise import pointwise
from seg.models.tiles import TileCut, missing_for_tiles, places_of
from seg.models.windows import largest_in_windows
from seg.registry import MODELS
from seg.utils.devices import can_look

Sharpen = Callable[[Tensor], Tensor]
"""Brings mask logits (N, T, h, w) to a finer grid."""

_SIDE = 3  # of the square of cells that a part of a cell chooses from
_MARGIN = _SIDE // 2
_AROUND = _MARGIN + 1  # cells beside an outline that decide about it in a picture
_TILE = 8  # cells along a side of the parts of maps that are looked at
_STEP = 16  # in the numbers of them
_LEAST_WEIGHT = 1e-2  # at the start


@MODELS.register_module()
class ConvexUpsampler(BaseModule):
    """Divides the cells of masks, each part choosing among the cells around it.

    A mask of cells at stride 4 cannot follow the outline of a small thing: even if cells say how
    much of them it covers, a third of the things of Shapes with 150 to 300 pixels stay below an
    IoU of 0.85. Here each part of a cell gets a convex combination of the 3 x 3 cells around it,
    whose weights come from the mask features (Teed and Deng, "RAFT", ECCV 2020, section 3.3, for
    optical flow). They are the same for all masks of a picture: one more mask costs nine sums.

    A new upsampler is bilinear, nearly.

    Args:
        feat_channels: Width C of the mask features.
        factor: Parts along a side of a cell.
        hidden_channels: Width between the two layers.

    Raises:
        ValueError: If ``factor`` is less than 2.
    """

    def __init__(
        self,
        feat_channels: int,
        *,
        factor: int = 2,
        hidden_channels: int = 48,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if factor < 2:
            raise ValueError(f'ConvexUpsampler.factor: expected 2 or more, got {factor}')
        self.factor = factor
        self.feat_conv = nn.Conv2d(feat_channels, hidden_channels, 1)
        self.weight_conv = nn.Conv2d(hidden_channels, factor**2 * _SIDE**2, 3, padding=1)
        assert self.weight_conv.bias is not None, 'it was built with one'
        with torch.no_grad():
            self.weight_conv.weight.mul_(0.1)
            weight = self.weight_conv.weight
            weight.data = weight.contiguous(memory_format=torch.channels_last)  # as features lie
            self.weight_conv.bias.copy_(_bilinear_weights(factor).clamp(min=_LEAST_WEIGHT).log())

    def weights(self, mask_features: Tensor) -> Tensor:
        """What each part of a cell takes from the cells around it.

        Args:
            mask_features: Of the frames of a clip, (T, C, h, w).

        Returns:
            (T, parts, 9, h, w), float32, of sum 1 over the nine.
        """
        return self._as_weights(self.weight_conv(self._hidden(mask_features)))

    def _hidden(self, mask_features: Tensor) -> Tensor:
        return pointwise(self.feat_conv, mask_features).relu()

    def _as_weights(self, logits: Tensor) -> Tensor:
        logits = logits.float().contiguous()
        return logits.unflatten(1, (self.factor**2, _SIDE**2)).softmax(dim=2)

    def forward(self, mask_logits: Tensor, weights: Tensor) -> Tensor:
        """Divide the cells of masks.

        Args:
            mask_logits: (N, T, h, w).
            weights: Of :meth:`weights`.

        Returns:
            (N, T, factor * h, factor * w), float32.
        """
        return self._divide(F.pad(mask_logits.float(), (_MARGIN,) * 4, mode='replicate'), weights)

    def of_tiles(self, mask_logits: Tensor, mask_features: Tensor, cut: TileCut) -> Tensor:
        """Divide the cells of some tiles of a frame.

        Args:
            mask_logits: (N, h, w).
            mask_features: (C, h, w).
            cut: Cuts out the tiles with a margin of one cell.

        Returns:
            (N, tiles, factor * side, factor * side), float32.
        """
        side = math.isqrt(cut.pixels.shape[1])

        def as_maps(pixels: Tensor) -> Tensor:
            return pixels.unflatten(1, (side, side)).permute(0, 3, 1, 2)

        hidden = self._hidden(as_maps(cut(mask_features)))
        hidden = hidden * as_maps(~cut.is_beyond)  # a convolution adds zeros there
        conv = self.weight_conv
        weights = self._as_weights(F.conv2d(hidden, conv.weight, conv.bias))
        return self._divide(as_maps(cut(mask_logits.float())).transpose(0, 1), weights)

    def _divide(self, around: Tensor, weights: Tensor) -> Tensor:
        """Divide all cells of maps (N, T, h + 2, w + 2) but those at their borders."""
        height, width = weights.shape[-2:]
        parts = around.new_zeros(len(around), *weights.shape[:2], height, width)
        for k in range(_SIDE**2):
            y, x = divmod(k, _SIDE)
            cells = around[..., y : y + height, x : x + width]
            parts.addcmul_(weights[:, :, k], cells.unsqueeze(2))
        # Of no masks pixel_shuffle has no gradient.
        rows = parts.unflatten(2, (self.factor, -1)).permute(0, 1, 4, 2, 5, 3)
        return rows.flatten(4, 5).flatten(2, 3)

    def on(self, mask_features: Tensor) -> list[Sharpen]:
        """What divides the cells of masks of each clip with these features (B, T, C, h, w)."""
        weights = self.weights(mask_features.flatten(0, 1))
        return [partial(self.forward, weights=w) for w in weights.split(mask_features.shape[1])]


class FrameSharpener:
    """Divides the cells of masks on some frames, for prediction.

    Weights are computed when they are first needed, then kept; without gradient.

    Args:
        upsampler: What divides.
        mask_features: Of the frames, (T, C, h, w).
    """

    def __init__(self, upsampler: ConvexUpsampler, mask_features: Tensor) -> None:
        self._upsampler = upsampler
        self._features = mask_features
        self._weights: Tensor | None = None

    def __call__(self, mask_logits: Tensor) -> Tensor:
        """Masks (N, T, h, w) on the finer grid, see :meth:`ConvexUpsampler.forward`."""
        if self._weights is None:
            with torch.no_grad():
                self._weights = self._upsampler.weights(self._features)
        return self._upsampler(mask_logits, self._weights)

    def near_outlines(self, mask_logits: Tensor) -> Tensor:
        """The same masks with less work, for where signs count, and values where masks overlap.

        A part of a cell lies between the cells around it, so among positive ones it is positive
        and among negative ones negative, whatever the weights are: those keep the value of their
        cell. Values around outlines and where several masks are positive are those of the whole
        call, up to rounding. Where those are in more than half of all tiles, to look at masks is to
        wait for a device, or the weights are known, this is the whole call.

        Args:
            mask_logits: (N, T, h, w).
        """
        if self._weights is not None or not can_look(mask_logits.device):
            return self(mask_logits)
        height, width = mask_logits.shape[-2:]
        missing = missing_for_tiles(height, width, _TILE)
        undecided = [_undecided_tiles(covered, missing) for covered in (mask_logits > 0).unbind(1)]
        if any(flags.sum() > flags.numel() // 2 for flags in undecided):
            return self(mask_logits)
        frames = zip(mask_logits.unbind(1), self._features, undecided, strict=True)
        with torch.no_grad():
            return torch.stack([self._near_outlines(*frame) for frame in frames], dim=1)

    def _near_outlines(
        self, mask_logits: Tensor, mask_features: Tensor, undecided: Tensor
    ) -> Tensor:
        """Masks (N, h, w) on a frame with features (C, h, w) and such tiles (rows, columns)."""
        (height, width), factor = mask_logits.shape[-2:], self._upsampler.factor
        padded = F.pad(mask_logits.float(), missing_for_tiles(height, width, _TILE))
        fine = padded.repeat_interleave(factor, 1).repeat_interleave(factor, 2)
        places = places_of(undecided)
        if len(places[0]):
            cut = TileCut.of(_in_steps(places), (height, width), _TILE, _MARGIN)
            divided = self._upsampler.of_tiles(mask_logits, mask_features, cut)
            side = factor * _TILE
            tiled = fine.unflatten(2, (-1, side)).unflatten(1, (-1, side)).permute(1, 3, 0, 2, 4)
            tiled[places] = divided[:, : len(places[0])].transpose(0, 1)
        return fine[:, : factor * height, : factor * width]


def _undecided_tiles(covered: Tensor, missing: tuple[int, int, int, int]) -> Tensor:
    """Tiles where an outline runs or masks overlap, or beside that, (rows, columns), bool.

    Args:
        covered: What masks cover, (N, h, w), bool.
        missing: What has to be added for whole tiles.
    """
    shares = F.pad(torch.cat([covered, ~covered]).float(), missing)
    largest = largest_in_windows(shares, _TILE + 2 * _AROUND, _AROUND)[:, ::_TILE, ::_TILE]
    has_inside, has_outside = (largest > 0).chunk(2)
    return (has_inside & has_outside).any(dim=0) | (has_inside.sum(dim=0) > 1)


def _in_steps(places: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    """Places in one of a few numbers, the last one again and again where there are fewer.

    For each new size of maps a processor's library prepares itself anew, which takes as long as a
    convolution.
    """
    rows, columns = (torch.cat([p, p[-1:].expand(-len(p) % _STEP)]) for p in places)
    return rows, columns


def _bilinear_weights(factor: int) -> Tensor:
    """Weights of bilinear enlargement, (parts * 9,)."""
    offsets = (torch.arange(factor) + 0.5) / factor - 0.5  # of the parts, in cells
    along = (1 - (offsets[:, None] - torch.arange(-1, 2)).abs()).clamp(min=0)  # (factor, 3)
    return torch.einsum('yi,xj->yxij', along, along).flatten()
