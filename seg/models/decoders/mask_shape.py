"""What the outline of a query's mask says."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.decoders.extents import mask_extents
from seg.models.decoders.layers import mlp
from seg.registry import MODELS
from seg.utils.constants import made_once

_MARGIN = 1.25  # side of the window over the longer side of the mask's box


@MODELS.register_module()
class MaskShapeEncoder(nn.Module):
    """Looks at a mask through a square window around it and adds what it sees to the query.

    Features pooled under a mask forget its outline; class and quality depend on it. Mask Scoring
    R-CNN (Huang et al., CVPR 2019, section 3.2) shows the predicted mask to the quality head for
    the same reason. Masks get no gradient through the window. The last layer of a new
    encoder is zero, so it can be added to a trained model.

    Args:
        feat_channels: Width C of the queries.
        window: Samples along each side of the window.
    """

    def __init__(self, feat_channels: int, window: int = 16) -> None:
        super().__init__()
        self.window = window
        hidden = 2 * feat_channels
        self.shape_mlp = mlp(window * window, hidden, hidden, num_layers=2)
        self.out_proj = nn.Linear(hidden, feat_channels)
        nn.init.zeros_(self.out_proj.weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, mask_logits: Tensor) -> Tensor:
        """Describe masks.

        Args:
            mask_logits: (B, Q, T, h, w).

        Returns:
            Mean over the frames in which the mask is not empty, (B, Q, C); zero where it is
            empty in all of them.
        """
        with torch.autocast(mask_logits.device.type, enabled=False):
            probs = mask_logits.detach().float().sigmoid()
            crops, visible = self._crop(probs.flatten(0, 2))
            described = self.out_proj(self.shape_mlp(crops.flatten(1)).relu())
            described = described * visible.unsqueeze(-1)
        described = described.unflatten(0, mask_logits.shape[:3])
        frames = visible.unflatten(0, mask_logits.shape[:3]).sum(dim=2).clamp(min=1)
        return described.sum(dim=2) / frames.unsqueeze(-1)

    def _crop(self, probs: Tensor) -> tuple[Tensor, Tensor]:
        """Windows on masks (N, h, w): crops (N, window, window), and which masks have pixels."""
        height, width = probs.shape[-2:]
        upper_left, lower_right = mask_extents(probs > 0.5).chunk(2, dim=-1)  # (N, 2) each
        half = (lower_right - upper_left).amax(dim=-1, keepdim=True) * (_MARGIN / 2)
        centre = (upper_left + lower_right) / 2
        places = centre.unsqueeze(-1) + half.unsqueeze(-1) * _steps(self.window, probs.device)
        xs, ys = places.unbind(dim=1)  # (N, window) each
        across = (xs * (2 / width) - 1).unsqueeze(1).expand(-1, self.window, -1)
        down = (ys * (2 / height) - 1).unsqueeze(2).expand(-1, -1, self.window)
        grid = torch.stack([across, down], dim=-1)
        crops = F.grid_sample(probs.unsqueeze(1), grid, align_corners=False)
        return crops.squeeze(1), (half.squeeze(1) > 0).float()


@made_once
def _steps(window: int, device: torch.device) -> Tensor:
    """Places of samples along a window, from -1 to 1."""
    return torch.linspace(-1, 1, window, device=device)
