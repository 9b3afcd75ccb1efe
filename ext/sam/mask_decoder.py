"""The package's mask decoder with the work on image positions arranged to be small.

Names and numbers are the package's. A mask decoder spends its time on the thousands of positions
of the image, of which a prompt has its own copy from the first layer on. Three things keep that
cheap: projections of positions are moved over to the few tokens, as ``q . (W x) = (W' q) . x``;
prompts of one image share its embedding until they change it; and the upscaling works on rows of
channels, so nothing large is transposed.
"""

from __future__ import annotations

from typing import Any

import torch
from segment_anything.modeling import MaskDecoder, TwoWayTransformer
from segment_anything.modeling.transformer import Attention, TwoWayAttentionBlock
from torch import Tensor, nn
from torch.nn import functional as F

from ext.sam.attention import FusedTokenAttention

# Legend: n prompts, m images (one per prompt, or one for all of them), T tokens, N positions.


def positions_times_tokens(tokens: Tensor, image: Tensor) -> Tensor:
    """Products of every row of tokens (n, R, C) with every position (m, N, C), (n, R, N)."""
    if len(image) == 1:
        return F.linear(tokens.flatten(0, 1), image[0]).unflatten(0, tokens.shape[:2])
    return tokens @ image.mT


def mean_positions(weights: Tensor, image: Tensor) -> Tensor:
    """Sums of positions (m, N, C), weighted by (n, R, N), as (n, R, C)."""
    if len(image) == 1:
        return (weights.flatten(0, 1) @ image[0]).unflatten(0, weights.shape[:2])
    return weights @ image


class TokensReadImage(Attention):
    """Cross attention in which tokens read an image; nothing of the image is projected.

    The bias of the keys adds the same to all scores of a query, so it is left out, and gets no
    gradient.
    """

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Read ``v`` (m, N, C) where ``k`` (m, N, C) answers the tokens ``q`` (n, T, C)."""
        heads, scale = self.num_heads, (self.internal_dim // self.num_heads) ** -0.5
        queries = self._separate_heads(self.q_proj(q) * scale, heads)  # (n, heads, T, c)
        wanted = queries @ self.k_proj.weight.unflatten(0, (heads, -1))
        weights = positions_times_tokens(wanted.flatten(1, 2), k).softmax(dim=-1)
        read = mean_positions(weights, v).unflatten(1, (heads, -1))  # (n, heads, T, C)
        values = read @ self.v_proj.weight.unflatten(0, (heads, -1)).mT
        return self.out_proj(self._recombine_heads(values) + self.v_proj.bias)


class ImageReadsTokens(Attention):
    """Cross attention in which an image reads tokens; nothing of the image is projected."""

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What the positions ``q`` (m, N, C) get of the tokens ``k`` and ``v`` (n, T, C)."""
        heads, scale = self.num_heads, (self.internal_dim // self.num_heads) ** -0.5
        keys = self._separate_heads(self.k_proj(k) * scale, heads)  # (n, heads, T, c)
        wanted = (keys @ self.q_proj.weight.unflatten(0, (heads, -1))).flatten(1, 2)
        offset = (keys @ self.q_proj.bias.view(heads, -1, 1)).flatten(1, 2)
        scores = positions_times_tokens(wanted, q) + offset
        weights = scores.unflatten(1, (heads, -1)).softmax(dim=2)  # (n, heads, T, N)
        values = self._separate_heads(self.v_proj(v), heads)
        given = values @ self.out_proj.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)
        # The weights of a head sum to one, so each may carry its part of the bias.
        given = given + self.out_proj.bias / heads
        return weights.flatten(1, 2).mT @ given.flatten(1, 2)


class SharedImageBlock(TwoWayAttentionBlock):
    """A layer in which the positions are placed once, for prompts that may share an image.

    Args:
        embedding_dim: Channels.
        num_heads: Attention heads.
        mlp_dim: Hidden channels of the feed-forward layers.
        is_first: Whether self attention has neither positions nor a residual.
    """

    def __init__(self, embedding_dim: int, num_heads: int, mlp_dim: int, is_first: bool) -> None:
        super().__init__(embedding_dim, num_heads, mlp_dim, skip_first_layer_pe=is_first)
        self.self_attn = FusedTokenAttention(embedding_dim, num_heads)
        self.cross_attn_token_to_image = TokensReadImage(embedding_dim, num_heads, 2)
        self.cross_attn_image_to_token = ImageReadsTokens(embedding_dim, num_heads, 2)

    def forward(
        self, queries: Tensor, keys: Tensor, query_pe: Tensor, key_pe: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Update tokens (n, T, C) and positions (m, N, C), which become (n, N, C)."""
        if self.skip_first_layer_pe:
            queries = self.self_attn(queries, queries, queries)
        else:
            placed = queries + query_pe
            queries = queries + self.self_attn(placed, placed, queries)
        queries = self.norm1(queries)
        placed_keys = keys + key_pe
        read = self.cross_attn_token_to_image(queries + query_pe, placed_keys, keys)
        queries = self.norm2(queries + read)
        queries = self.norm3(queries + self.mlp(queries))
        read = self.cross_attn_image_to_token(placed_keys, queries + query_pe, queries)
        return queries, self.norm4(keys + read)


class SharedImageTransformer(TwoWayTransformer):
    """The decoder's transformer for n prompts on n images, or on one image for all of them.

    Args:
        depth: Layers.
        embedding_dim: Channels.
        num_heads: Attention heads.
        mlp_dim: Hidden channels of the feed-forward layers.
    """

    def __init__(self, depth: int, embedding_dim: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__(0, embedding_dim, num_heads, mlp_dim)
        self.layers.extend(
            SharedImageBlock(embedding_dim, num_heads, mlp_dim, is_first=index == 0)
            for index in range(depth)
        )
        self.final_attn_token_to_image = TokensReadImage(embedding_dim, num_heads, 2)

    def forward(
        self, image_embedding: Tensor, image_pe: Tensor, point_embedding: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Tokens (n, T, C) and positions (n, N, C) of embeddings (m, C, h, w) and tokens."""
        keys = image_embedding.flatten(2).mT.contiguous()
        places = image_pe[:1].flatten(2).mT.contiguous()
        queries = point_embedding
        for layer in self.layers:
            queries, keys = layer(queries, keys, point_embedding, places)
        read = self.final_attn_token_to_image(queries + point_embedding, keys + places, keys)
        return self.norm_final_attn(queries + read), keys


class SharedImageDecoder(MaskDecoder):
    """The mask decoder for n prompts on n images, or on one image for all of them.

    Args:
        channels: Channels of embeddings and tokens.
        num_heads: Attention heads.
        mlp_dim: Hidden channels of the feed-forward layers.
    """

    def __init__(self, channels: int, num_heads: int, mlp_dim: int) -> None:
        super().__init__(
            transformer_dim=channels,
            transformer=SharedImageTransformer(2, channels, num_heads, mlp_dim),
            num_multimask_outputs=3,
            iou_head_depth=3,
            iou_head_hidden_dim=channels,
        )

    @property
    def output_tokens(self) -> Tensor:
        """The tokens of quality and masks, (1 + 4, C)."""
        return torch.cat([self.iou_token.weight, self.mask_tokens.weight])

    def draw(self, keys: Tensor, kernels: Tensor, size: tuple[int, int]) -> Tensor:
        """Mask logits (n, M, 4h, 4w).

        Args:
            keys: Positions that the transformer gave, (n, N, C).
            kernels: What the masks look for, (n, M, C / 8).
            size: (h, w), N of them in all.
        """
        first, norm, activation, second, last = self.output_upscaling
        x = _upscaled(keys, first)
        x = activation(F.layer_norm(x, x.shape[-1:], norm.weight, norm.bias, norm.eps))
        x = last(_upscaled(x, second))  # (n, N, 2 * 2, 2 * 2, C / 8)
        logits = x.flatten(1, 3) @ kernels.mT
        grid = logits.view(len(keys), *size, 2, 2, 2, 2, kernels.shape[1])
        return grid.permute(0, 7, 1, 3, 5, 2, 4, 6).reshape(
            len(keys), kernels.shape[1], 4 * size[0], 4 * size[1]
        )


def _upscaled(x: Tensor, layer: Any) -> Tensor:
    """A transposed convolution of stride and size two, (..., C) to (..., 2 * 2, C')."""
    assert isinstance(layer, nn.ConvTranspose2d), 'the package upscales by transposed convolution'
    weight, bias = layer.weight.permute(2, 3, 1, 0).flatten(0, 2), layer.bias
    assert bias is not None, 'the package upscales with a bias'
    return F.linear(x, weight, bias.repeat(4)).unflatten(-1, (4, -1))
