"""The package's two attentions on PyTorch's fused kernel; names and numbers stay."""

from __future__ import annotations

import torch
from segment_anything.modeling.image_encoder import Attention as ImageAttention
from segment_anything.modeling.transformer import Attention as TokenAttention
from torch import Tensor
from torch.nn import functional as F


def relative_positions(size: int, table: Tensor) -> Tensor:
    """Embedding of the distance from every query to every key along one axis.

    Args:
        size: Patches along the axis.
        table: Embeddings of the distances ``-(n - 1) .. n - 1``, (2n - 1, C); interpolated
            linearly where ``n`` is not ``size``.

    Returns:
        (size, size, C); first queries, then keys.
    """
    num_distances = 2 * size - 1
    if len(table) != num_distances:
        table = F.interpolate(table.T[None], size=num_distances, mode='linear')[0].T
    places = torch.arange(size, device=table.device)
    return table[places[:, None] - places[None, :] + size - 1]


class FusedImageAttention(ImageAttention):
    """Attention of the image encoder without a map of all pairs of patches.

    The relative position term of query ``q`` and key ``(y, x)`` is ``q . R_h[y] + q . R_w[x]``.
    Appending these products to the queries, and one-hot vectors of ``y`` and ``x`` to the keys,
    makes it part of the dot product, so the fused kernel applies, and memory grows with the number
    of patches rather than with its square.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Attend among the patches (B, H, W, C) of each image or window."""
        batch_size, height, width, channels = x.shape
        qkv = self.qkv(x).reshape(batch_size, height * width, 3, self.num_heads, -1)
        q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)  # each (B, heads, HW, C / heads)
        head_dim = q.shape[-1]
        if self.use_rel_pos:
            q, k = self._with_positions(q, k, (height, width))
            v = F.pad(v, (0, height + width))  # kernels want one width
        else:
            q = q * self.scale
        out = F.scaled_dot_product_attention(q, k, v, scale=1.0)[..., :head_dim]
        return self.proj(out.transpose(1, 2).reshape(batch_size, height, width, channels))

    def _with_positions(self, q: Tensor, k: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        height, width = size
        grid = q.unflatten(2, size)
        rows = relative_positions(height, self.rel_pos_h).to(q.dtype)
        columns = relative_positions(width, self.rel_pos_w).to(q.dtype)
        row_terms = torch.einsum('bnhwc,hkc->bnhwk', grid, rows).flatten(2, 3)
        column_terms = torch.einsum('bnhwc,wkc->bnhwk', grid, columns).flatten(2, 3)
        one_hot = torch.cat(
            [
                torch.eye(height, device=q.device, dtype=q.dtype).repeat_interleave(width, dim=0),
                torch.eye(width, device=q.device, dtype=q.dtype).repeat(height, 1),
            ],
            dim=-1,
        )
        keys = torch.cat([k, one_hot.expand(*k.shape[:2], -1, -1)], dim=-1)
        return torch.cat([q * self.scale, row_terms, column_terms], dim=-1), keys


class FusedTokenAttention(TokenAttention):
    """Attention of the decoder."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend from (B, Nq, C) to (B, Nk, C)."""
        out = F.scaled_dot_product_attention(
            self._separate_heads(self.q_proj(q), self.num_heads),
            self._separate_heads(self.k_proj(k), self.num_heads),
            self._separate_heads(self.v_proj(v), self.num_heads),
        )
        return self.out_proj(self._recombine_heads(out))
