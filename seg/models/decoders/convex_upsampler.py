"""Masks on a finer grid than that of the mask features."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.pixelwise import pointwise
from seg.registry import MODELS
from seg.utils.devices import runs_ahead

Sharpen = Callable[[Tensor], Tensor]
"""Brings mask logits (N, T, h, w) to a finer grid."""

_SIDE = 3  # of the square of cells that a part of a cell chooses from
_AROUND = 3  # cells beside a mask that decide about its outline in a picture, with two to spare
_STEP = 8  # cells, in the lengths of the parts of maps that are looked at
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
        hidden = pointwise(self.feat_conv, mask_features).relu()
        logits = self.weight_conv(hidden).float().contiguous()
        return logits.unflatten(1, (self.factor**2, _SIDE**2)).softmax(dim=2)

    def forward(self, mask_logits: Tensor, weights: Tensor) -> Tensor:
        """Divide the cells of masks.

        Args:
            mask_logits: (N, T, h, w).
            weights: Of :meth:`weights`.

        Returns:
            (N, T, factor * h, factor * w), float32.
        """
        num, height, width = len(mask_logits), *mask_logits.shape[-2:]
        margin = _SIDE // 2
        around = F.pad(mask_logits.float(), (margin,) * 4, mode='replicate')
        parts = mask_logits.new_zeros(num, *weights.shape[:2], height, width, dtype=torch.float32)
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

    def near_masks(self, mask_logits: Tensor) -> Tensor:
        """The same masks with less work, for where only positive logits count.

        A part of a cell lies between the cells around it, so beside a mask it is negative whatever
        the weights are. Positive logits and all within a cell of them are those of the whole call,
        up to rounding; others keep the value of their cell. Where to look at masks is to wait for a
        device, or the weights are known, this is the whole call.

        Args:
            mask_logits: (N, T, h, w).
        """
        if self._weights is not None or runs_ahead(mask_logits.device):
            return self(mask_logits)
        factor = self._upsampler.factor
        fine = mask_logits.float().repeat_interleave(factor, 2).repeat_interleave(factor, 3)
        covered = (mask_logits > 0).flatten(0, 1).any(dim=0)
        if not covered.any():
            return fine
        flags = covered.any(dim=1), covered.any(dim=0)
        seen_rows, seen_columns = (_reach(of_axis) for of_axis in flags)
        rows, columns = (
            _inner(seen, len(of_axis))
            for seen, of_axis in zip((seen_rows, seen_columns), flags, strict=True)
        )
        features = self._features[..., seen_rows, seen_columns]
        with torch.no_grad():
            # As a whole of its own it is convolved faster than as a part of a larger one.
            weights = self._upsampler.weights(
                features.contiguous(memory_format=torch.channels_last)
            )
        part = self._upsampler(mask_logits[..., seen_rows, seen_columns], weights)
        fine[..., _parts_of(rows, factor), _parts_of(columns, factor)] = part[
            ...,
            _parts_of(rows, factor, seen_rows.start),
            _parts_of(columns, factor, seen_columns.start),
        ]
        return fine


def _reach(flags: Tensor) -> slice:
    """From before the first to behind the last true one of a row of flags.

    Some lengths alone occur: for each new size of maps a processor's library prepares itself
    anew, which takes as long as a convolution.
    """
    places, margin = flags.nonzero().flatten(), _AROUND + _SIDE // 2
    first, last = int(places[0]) - margin, int(places[-1]) + 1 + margin
    length = min(len(flags), -(-(last - first) // _STEP) * _STEP)
    first = max(0, min(first, len(flags) - length))
    return slice(first, first + length)


def _inner(seen: slice, length: int) -> slice:
    """The cells of an axis all of whose neighbours are seen, or lie beyond the map."""
    margin = _SIDE // 2
    first = seen.start + margin if seen.start else 0
    return slice(first, seen.stop - margin if seen.stop < length else length)


def _parts_of(cells: slice, factor: int, first: int = 0) -> slice:
    """The parts that some cells of an axis become, counted from the cell ``first`` on."""
    return slice(factor * (cells.start - first), factor * (cells.stop - first))


def _bilinear_weights(factor: int) -> Tensor:
    """Weights of bilinear enlargement, (parts * 9,)."""
    offsets = (torch.arange(factor) + 0.5) / factor - 0.5  # of the parts, in cells
    along = (1 - (offsets[:, None] - torch.arange(-1, 2)).abs()).clamp(min=0)  # (factor, 3)
    return torch.einsum('yi,xj->yxij', along, along).flatten()
