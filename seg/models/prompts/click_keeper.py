"""Answers that obey the clicks that were made."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor

from seg.registry import MODELS
from seg.structures import PointLabel

_PASSES = 2  # the second one settles clicks that share a cell with another


@MODELS.register_module()
class ClickKeeper(BaseModule):
    """Changes mask logits as little as possible, so that every click is where it says.

    A network weighs a click against everything else it sees and may leave it out. The value of a
    mask at a click is a weighted mean of four cells; where it has the wrong sign, the smallest
    change of these cells (in the Euclidean norm) that gives it the right one is
    ``deficit * w / |w|^2``. Clicks are taken in turn, so the latest one wins where two of them
    cannot both be kept. The constraint is that of Jang and Kim, "Interactive Image Segmentation
    via Backpropagating Refinement Scheme", CVPR 2019, without their optimisation.

    Args:
        margin: Logit that is wanted at a click, more than 0.

    Raises:
        ValueError: If ``margin`` is not positive.
    """

    def __init__(self, *, margin: float = 1.0, init_cfg: dict | None = None) -> None:
        super().__init__(init_cfg=init_cfg)
        if not margin > 0:
            raise ValueError(f'ClickKeeper.margin: expected more than 0, got {margin}')
        self.margin = margin

    def forward(
        self, mask_logits: Tensor, points: Tensor, labels: Tensor, *, canvas: tuple[int, int]
    ) -> Tensor:
        """Change masks where their clicks are not kept.

        Args:
            mask_logits: (R, h, w).
            points: (x, y) in pixels of the padded input, (R, P, 2).
            labels: One :class:`~seg.structures.PointLabel` per point, (R, P).
            canvas: Size (H, W) of the padded input.

        Returns:
            New logits (R, h, w), float32; those of masks whose clicks are kept are unchanged.
        """
        height, width = mask_logits.shape[-2:]
        logits = mask_logits.float().flatten(1).clone()
        if not labels.numel():
            return logits.view(mask_logits.shape)
        per_pixel = points.new_tensor([width / canvas[1], height / canvas[0]])
        cells, weights = _bilinear(points * per_pixel, height, width)
        signs = (2.0 * (labels == PointLabel.FOREGROUND) - 1).to(logits)
        signs = signs * (labels != PointLabel.PADDING)
        for _ in range(_PASSES):
            for p in range(labels.shape[1]):
                cell, weight, sign = cells[:, p], weights[:, p], signs[:, p]
                value = (logits.gather(1, cell) * weight).sum(dim=1)
                deficit = sign * (self.margin - sign * value).clamp(min=0)
                change = deficit[:, None] * weight / weight.square().sum(dim=1, keepdim=True)
                logits = logits.scatter_add(1, cell, change)
        return logits.view(mask_logits.shape)


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
