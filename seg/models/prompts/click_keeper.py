"""Answers that obey the clicks that were made."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor
from torch.nn import functional as F

from seg.registry import MODELS
from seg.structures import PointLabel

_PASSES = 2  # the second one settles clicks that share their surroundings with another


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
        for kernel in (_Surroundings(self, clicks, mask_features), _OwnCells(clicks)):
            for _ in range(_PASSES):
                for p in range(labels.shape[1]):
                    deficit = clicks.deficit(logits, p, self.margin)
                    logits = logits + deficit[:, None] * kernel.shape(p)
        return logits.view(mask_logits.shape)


class _Clicks:
    """Clicks on the grid of masks.

    Attributes:
        places: (x, y) in pixels of the padded input, (R, P, 2).
        cells: The four around each click, (R, P, 4), int64.
        weights: Theirs in the value at the click, (R, P, 4).
        grid: Size (h, w).
        canvas: Size (H, W) of the padded input.
    """

    def __init__(
        self, points: Tensor, labels: Tensor, grid: tuple[int, int], canvas: tuple[int, int]
    ) -> None:
        self.places, self.grid, self.canvas = points, grid, canvas
        per_pixel = points.new_tensor([grid[1] / canvas[1], grid[0] / canvas[0]])
        self.cells, self.weights = _bilinear(points * per_pixel, *grid)
        signs = 2 * (labels == PointLabel.FOREGROUND).to(points) - 1
        self._signs = signs * (labels != PointLabel.PADDING)

    def values(self, maps: Tensor, p: int) -> Tensor:
        """Values of maps (R, h * w) at one click each, (R,)."""
        return (maps.gather(1, self.cells[:, p]) * self.weights[:, p]).sum(dim=1)

    def deficit(self, logits: Tensor, p: int, margin: float) -> Tensor:
        """What masks (R, h * w) lack at one click each, with its sign, (R,)."""
        sign = self._signs[:, p]
        return sign * (margin - sign * self.values(logits, p)).clamp(min=0)


class _Surroundings:
    """Changes that reach as far as a place is near a click and looks like it."""

    def __init__(self, keeper: ClickKeeper, clicks: _Clicks, mask_features: Tensor) -> None:
        self.clicks = clicks
        self.reach, self.likeness = keeper.reach, keeper.likeness
        height, width = mask_features.shape[-2:]
        self.size = height, width
        self.features = mask_features.float().flatten(1)
        self.norms = torch.linalg.vector_norm(self.features, dim=0).square()
        variance = self.norms.mean() - self.features.mean(dim=1).square().sum()
        self.variance = variance.clamp(min=1e-12)  # summed over the channels
        per_pixel = clicks.places.new_tensor(
            [self.size[1] / clicks.canvas[1], self.size[0] / clicks.canvas[0]]
        )
        self.cells, self.weights = _bilinear(clicks.places * per_pixel, *self.size)

    def shape(self, p: int) -> Tensor:
        """Change of each mask for one click, (R, h * w), at most 1."""
        height, width = self.clicks.grid
        around = self.features[:, self.cells[:, p]] * self.weights[:, p]  # (C, R, 4)
        clicked = around.sum(dim=-1)  # (C, R)
        products = clicked.transpose(0, 1) @ self.features
        squares = clicked.square().sum(dim=0)[:, None] + self.norms - 2 * products
        alike = (-squares.clamp(min=0) / (2 * self.likeness**2 * self.variance)).exp()
        if self.size != self.clicks.grid:
            alike = F.interpolate(
                alike.unflatten(1, self.size).unsqueeze(1),
                size=(height, width),
                mode='bilinear',
                align_corners=False,
            ).flatten(1)
        x, y = self.clicks.places[:, p].unbind(dim=-1)
        near_x = self._near(x, width, self.clicks.canvas[1])
        near_y = self._near(y, height, self.clicks.canvas[0])
        return alike * (near_y[:, :, None] * near_x[:, None, :]).flatten(1)

    def _near(self, place: Tensor, cells: int, pixels: int) -> Tensor:
        """Gaussian of the distance along one side, (R, cells)."""
        centers = (torch.arange(cells, device=place.device) + 0.5) * (pixels / cells)
        return (-(place[:, None] - centers).square() / (2 * self.reach**2)).exp()


class _OwnCells:
    """Changes of the four cells around a click alone."""

    def __init__(self, clicks: _Clicks) -> None:
        self.clicks = clicks

    def shape(self, p: int) -> Tensor:
        """Change of each mask for one click, (R, h * w), 1 at the click itself."""
        cells, weights = self.clicks.cells[:, p], self.clicks.weights[:, p]
        height, width = self.clicks.grid
        nothing = weights.new_zeros(len(cells), height * width)
        return nothing.scatter_add(1, cells, weights / weights.square().sum(dim=1, keepdim=True))


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
