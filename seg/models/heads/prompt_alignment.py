"""Prompts and the objects that they mean, side by side in one space."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.decoders.pooling import pool_under
from seg.registry import MODELS


@MODELS.register_module()
class PromptAlignment(BaseModule):
    """Teaches a prompt's query to resemble its object more than the other objects in the picture.

    Contrastive loss (van den Oord et al., "Representation Learning with Contrastive Predictive
    Coding", 2018, equation 4) between the query of each prompt, before any decoding, and the mean
    features under the true masks of the objects prompted in the same picture. Used in training
    only.

    Args:
        feat_channels: Width C.
        temperature: Cosines are divided by it.

    Raises:
        ValueError: If the temperature is not above zero.
    """

    def __init__(
        self, feat_channels: int, *, temperature: float = 0.1, init_cfg: dict | None = None
    ) -> None:
        super().__init__(init_cfg=init_cfg)
        if temperature <= 0:
            raise ValueError(f'PromptAlignment.temperature: expected above 0, got {temperature}')
        self.temperature = temperature
        self.prompt_proj = nn.Linear(feat_channels, feat_channels)
        self.object_proj = nn.Linear(feat_channels, feat_channels)

    def loss(
        self,
        queries: Tensor,
        mask_features: Tensor,
        masks: Sequence[Tensor],
        rows: Sequence[Tensor],
    ) -> Tensor:
        """Sum over all prompts of the batch.

        Args:
            queries: One per prompted object, (B, N, C); padding is ignored.
            mask_features: (B, T, C, h, w).
            masks: Coverage of each segment on the grid of the features, B tensors (S, T, h, w) in
                [0, 1].
            rows: Segment that each prompt means, B tensors (n,), int64.

        Returns:
            A scalar, float32; pictures with fewer than two prompted objects add nothing.
        """
        total = queries.new_zeros(())
        with torch.autocast(queries.device.type, enabled=False):
            for i, (covers, meant) in enumerate(zip(masks, rows, strict=True)):
                objects, target = meant.unique(return_inverse=True)
                if len(objects) < 2:
                    continue
                weights = covers[objects].unsqueeze(0)
                pooled = pool_under(weights, mask_features[i : i + 1].float())[0]
                area = weights[0].flatten(1).sum(dim=1, keepdim=True).clamp(min=1e-3)
                known = F.normalize(self.object_proj(pooled / area), dim=-1)
                asked = F.normalize(self.prompt_proj(queries[i, : len(meant)].float()), dim=-1)
                logits = asked @ known.T / self.temperature
                total = total + F.cross_entropy(logits, target, reduction='sum')
        return total
