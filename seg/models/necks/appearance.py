"""What a place looks like, beside what it belongs to."""

from __future__ import annotations

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.registry import MODELS


@MODELS.register_module()
class AppearanceSkip(BaseModule):
    """Adds the mean colour of each cell to the mask features.

    Features that are trained to find and to outline objects forget their colours, which objects
    of all classes share; words like "the red one" then refer to nothing that can be seen.

    A projection that starts at zero leaves weights that were trained without it unaffected, but
    hardly grows by itself: nothing that reads the features waits for colours yet. After training
    for prompts from zero, a linear probe named the colour of 30 to 34 % of objects of ten colours;
    with a random projection of gain 0.3 added to the same features, 94 %.

    Args:
        feat_channels: Width C of the mask features.
        in_channels: Channels of the picture.
        gain: Standard deviation that the weights of the projection start with.
        grid: Side of the grid of colours that a cell adds beside its mean, through weights that
            start at zero; :class:`ConvexUpsampler` can read from it what lies within the cell. None
            with 0.

    Raises:
        ValueError: If the gain or the grid is negative.
    """

    def __init__(
        self,
        feat_channels: int,
        in_channels: int = 3,
        gain: float = 0.0,
        grid: int = 0,
        init_cfg: dict | None = None,
    ) -> None:
        for name, value in (('gain', gain), ('grid', grid)):
            if value < 0:
                raise ValueError(f'AppearanceSkip.{name}: expected 0 or more, got {value}')
        super().__init__(init_cfg=init_cfg)
        self.color_conv = nn.Conv2d(in_channels, feat_channels, 1, bias=False)
        nn.init.normal_(self.color_conv.weight, std=gain)
        self.grid = grid
        if grid:
            self.grid_conv = nn.Conv2d(grid**2 * in_channels, feat_channels, 1, bias=False)
            nn.init.zeros_(self.grid_conv.weight)

    def forward(self, images: Tensor, mask_features: Tensor) -> Tensor:
        """Add colours.

        Args:
            images: Normalised, (N, 3, H, W).
            mask_features: (N, C, h, w).

        Returns:
            (N, C, h, w).
        """
        size = (mask_features.shape[-2], mask_features.shape[-1])
        with torch.autocast(images.device.type, enabled=False):
            added = self._of_cells(images.float(), size)
        summed: Tensor = mask_features + added.to(mask_features)
        return summed

    def _of_cells(self, images: Tensor, size: tuple[int, int]) -> Tensor:
        """What the colours of cells add, (N, C, h, w)."""
        if not self.grid:
            added: Tensor = self.color_conv(F.adaptive_avg_pool2d(images, size))
            return added
        finer = self.grid * size[0], self.grid * size[1]
        if tuple(images.shape[-2:]) != finer:
            images = F.adaptive_avg_pool2d(images, finer)
        # The mean is one more linear function of the grid, so both are one convolution.
        mean = self.color_conv.weight.repeat_interleave(self.grid**2, dim=1) / self.grid**2
        weight = (self.grid_conv.weight + mean).view(len(mean), -1, self.grid, self.grid)
        weight = weight.contiguous(memory_format=torch.channels_last)  # the result lies so, too
        return F.conv2d(images, weight, stride=self.grid)
