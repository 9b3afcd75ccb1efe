"""Dynamic update of queries from the features under their masks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seg.registry import MODELS


@MODELS.register_module()
class KernelUpdater(nn.Module):
    """Gated update of a query by the features that were pooled for it.

    Source: Zhang et al., "K-Net: Towards Unified Image Segmentation", NeurIPS 2021, section 3.2.
    The last layer norm is followed by a ReLU and there is no residual, so the result is never
    negative.

    Args:
        feat_channels: Width C.
    """

    def __init__(self, feat_channels: int) -> None:
        super().__init__()
        self.update_proj = nn.Linear(feat_channels, 2 * feat_channels)
        self.query_proj = nn.Linear(feat_channels, 2 * feat_channels)
        self.query_gate = nn.Linear(feat_channels, feat_channels)
        self.update_gate = nn.Linear(feat_channels, feat_channels)
        self.query_gate_norm = nn.LayerNorm(feat_channels)
        self.update_gate_norm = nn.LayerNorm(feat_channels)
        self.query_norm = nn.LayerNorm(feat_channels)
        self.update_norm = nn.LayerNorm(feat_channels)
        self.out_proj = nn.Linear(feat_channels, feat_channels)
        self.out_norm = nn.LayerNorm(feat_channels)

    def mix(self, update: Tensor, queries: Tensor) -> Tensor:
        """The gated sum of update and query before the output layer, (B, Q, C), float32.

        Runs in float32 whatever autocast says: sums over a mask and their products leave the
        range of float16, and only the layer norms bring them back.
        """
        with torch.autocast(queries.device.type, enabled=False):
            update_in, update_out = self.update_proj(update.float()).chunk(2, dim=-1)
            query_in, query_out = self.query_proj(queries.float()).chunk(2, dim=-1)
            gate_feats = update_in * query_in
            query_gate = self.query_gate_norm(self.query_gate(gate_feats)).sigmoid()
            update_gate = self.update_gate_norm(self.update_gate(gate_feats)).sigmoid()
            mixed = update_gate * self.update_norm(update_out)
            return mixed + query_gate * self.query_norm(query_out)

    def forward(self, update: Tensor, queries: Tensor) -> Tensor:
        """Update queries.

        Args:
            update: Pooled features, (B, Q, C).
            queries: Current queries, (B, Q, C).

        Returns:
            (B, Q, C), non-negative.
        """
        return self.out_norm(self.out_proj(self.mix(update, queries))).relu()


@MODELS.register_module()
class ResidualKernelUpdater(KernelUpdater):
    """:class:`KernelUpdater` with a residual around it: ``LN(query + W mixed)``.

    The residual keeps what a query already knows through all stages and lets gradients through,
    which shortens training from scratch.
    """

    def forward(self, update: Tensor, queries: Tensor) -> Tensor:
        """Update queries; shapes as in :class:`KernelUpdater`, values of either sign."""
        return self.out_norm(queries + self.out_proj(self.mix(update, queries)))
