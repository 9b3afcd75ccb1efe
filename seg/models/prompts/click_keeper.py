"""Answers that obey the clicks that were made."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from seg.registry import MODELS
from seg.structures import PointLabel

_PASSES = 2  # the second one settles clicks that share their surroundings with another
_CHANNELS = 16


@MODELS.register_module()
class ClickKeeper(BaseModule):
    """Changes masks where they contradict a click, and what looks like the clicked place with it.

    A network weighs a click against everything else it sees and may leave it out. Who clicks on a
    wrong region wants all of it gone, not a pixel. Where a mask has the wrong sign at a click, it
    gets ``deficit * k(place, click)``, the least change that mends it among the functions of the
    kernel ``k``: a Gaussian of the distance from the click times one of the difference of mask
    features. On the mask's grid that is nearly enough; the rest makes it certain: the value at the
    click is a weighted mean of four cells, whose least change (in the Euclidean norm) is
    ``deficit * w / |w|^2``. Clicks are taken in turn, so the latest one wins where two of them
    cannot both be kept.

    The constraint is that of Jang and Kim, "Interactive Image Segmentation via Backpropagating
    Refinement Scheme", CVPR 2019; a kernel takes the place of their optimisation.

    Args:
        margin: Logit that is wanted at a click, more than 0.
        reach: Standard deviation in space, pixels of the padded input, more than 0.
        likeness: Standard deviation in the features, as a share of their own standard deviation
            over the picture, more than 0.

    Raises:
        ValueError: If a number is not positive.
    """

    def __init__(
        self,
        *,
        margin: float = 2.5,
        reach: float = 5.0,
        likeness: float = 0.3,
        init_cfg: dict | None = None,
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        for name, value in (('margin', margin), ('reach', reach), ('likeness', likeness)):
            if not value > 0:
                raise ValueError(f'ClickKeeper.{name}: expected more than 0, got {value}')
        self.margin = margin
        self.reach = reach
        self.likeness = likeness

    def forward(
        self,
        mask_logits: Tensor,
        points: Tensor,
        labels: Tensor,
        mask_features: Tensor,
        *,
        canvas: tuple[int, int],
    ) -> Tensor:
        """Change masks of one picture where their clicks are not kept.

        Args:
            mask_logits: (R, h, w).
            points: (x, y) in pixels of the padded input, (R, P, 2).
            labels: One :class:`~seg.structures.PointLabel` per point, (R, P).
            mask_features: Of the picture, (C, h', w'); the grid may be another.
            canvas: Size (H, W) of the padded input.

        Returns:
            New logits (R, h, w), float32; those of masks whose clicks are kept are unchanged.
        """
        logits = mask_logits.float().flatten(1).clone()
        if not labels.numel():
            return logits.view(mask_logits.shape)
        height, width = mask_logits.shape[-2:]
        clicks = _Clicks(points, labels, (height, width), canvas)
        changes = self._surroundings(clicks, mask_features)
        for _ in range(_PASSES):
            for p, change in enumerate(changes.unbind(dim=1)):
                logits = logits + clicks.deficit(logits, p, self.margin)[:, None] * change
        for _ in range(_PASSES):
            for p in range(labels.shape[1]):
                logits = clicks.with_own_cells(logits, p, clicks.deficit(logits, p, self.margin))
        return logits.view(mask_logits.shape)

    def _surroundings(self, clicks: _Clicks, mask_features: Tensor) -> Tensor:
        """Changes that reach as far as places are near a click and look like it.

        Returns:
            (R, P, h * w), at most 1.
        """
        height, width = mask_features.shape[-2:]
        features = mask_features.float().flatten(1)
        # A few channels at a time stay in the cache.
        squares = sum(part.square().sum(dim=0) for part in features.split(_CHANNELS))
        variance = squares.mean() - features.mean(dim=1).square().sum()
        cells, weights = clicks.on_grid(height, width)
        clicked = (features[:, cells] * weights).sum(dim=-1)  # (C, R, P)
        with torch.autocast(features.device.type, enabled=False):  # differences of large numbers
            products = torch.tensordot(clicked, features, dims=([0], [0]))
        apart = clicked.square().sum(dim=0)[..., None] + squares - 2 * products
        alike = (-apart.clamp(min=0) / (2 * self.likeness**2 * variance.clamp(min=1e-12))).exp()
        if (height, width) != clicks.grid:
            alike = F.interpolate(
                alike.unflatten(-1, (height, width)),
                size=clicks.grid,
                mode='bilinear',
                align_corners=False,
            ).flatten(2)
        near_x, near_y = clicks.near(self.reach)
        return alike * (near_y[..., :, None] * near_x[..., None, :]).flatten(2)


class _Clicks:
    """Clicks on the grid of masks.

    Attributes:
        places: (x, y) in pixels of the padded input, (R, P, 2).
        grid: Size (h, w).
        canvas: Size (H, W) of the padded input.
    """

    def __init__(
        self, points: Tensor, labels: Tensor, grid: tuple[int, int], canvas: tuple[int, int]
    ) -> None:
        self.places, self.grid, self.canvas = points, grid, canvas
        self._cells, self._weights = self.on_grid(*grid)
        signs = 2 * (labels == PointLabel.FOREGROUND).to(points) - 1
        self._signs = signs * (labels != PointLabel.PADDING)

    def on_grid(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """The four cells around each click and their weights, (R, P, 4) each."""
        per_pixel = [width / self.canvas[1], height / self.canvas[0]]
        return _bilinear(self.places * self.places.new_tensor(per_pixel), height, width)

    def deficit(self, logits: Tensor, p: int, margin: float) -> Tensor:
        """What masks (R, h * w) lack at one click each, with its sign, (R,)."""
        values = (logits.gather(1, self._cells[:, p]) * self._weights[:, p]).sum(dim=1)
        sign = self._signs[:, p]
        return sign * (margin - sign * values).clamp(min=0)

    def with_own_cells(self, logits: Tensor, p: int, deficit: Tensor) -> Tensor:
        """Masks (R, h * w) with the least change of four cells that adds (R,) at one click each."""
        weights = self._weights[:, p]
        shares = weights / weights.square().sum(dim=1, keepdim=True)
        return logits.scatter_add(1, self._cells[:, p], deficit[:, None] * shares)

    def near(self, reach: float) -> tuple[Tensor, Tensor]:
        """Gaussians of the distance along and down the picture, (R, P, w) and (R, P, h)."""
        shares = []
        for axis, cells in ((0, self.grid[1]), (1, self.grid[0])):
            pixels = self.canvas[1 - axis] / cells
            centers = (torch.arange(cells, device=self.places.device) + 0.5) * pixels
            apart = self.places[..., axis, None] - centers
            shares.append((-apart.square() / (2 * reach**2)).exp())
        return shares[0], shares[1]


def _bilinear(points: Tensor, height: int, width: int) -> tuple[Tensor, Tensor]:
    """Cells around points (x, y) in cells, (R, P, 2), and their weights, (R, P, 4) each.

    Beyond the centres of the outermost cells values are constant, as in bilinear enlargement.
    """
    x = (points[..., 0] - 0.5).clamp(0, width - 1)
    y = (points[..., 1] - 0.5).clamp(0, height - 1)
    left, top = x.long().clamp(max=max(width - 2, 0)), y.long().clamp(max=max(height - 2, 0))
    right, bottom = (left + 1).clamp(max=width - 1), (top + 1).clamp(max=height - 1)
    to_right, to_bottom = x - left, y - top
    rows = torch.stack([top, top, bottom, bottom], dim=-1)
    columns = torch.stack([left, right, left, right], dim=-1)
    across = torch.stack([1 - to_right, to_right], dim=-1).repeat(1, 1, 2)
    down = torch.stack([1 - to_bottom, to_bottom], dim=-1).repeat_interleave(2, dim=-1)
    return rows * width + columns, across * down
