"""The mask decoder: four masks and their predicted qualities for every prompt."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ext.efficient_sam.transformer import GeluLayers, TwoWayTransformer
from ext.efficient_sam.variants import EfficientSamVariant


class EfficientMaskDecoder(nn.Module):
    """Decodes tokens of prompts into masks at four times the resolution of the embedding.

    The first mask is for clear prompts, the three others are for ambiguous ones.

    Args:
        variant: Sizes of the model.
    """

    num_mask_tokens = 4

    def __init__(self, variant: EfficientSamVariant) -> None:
        super().__init__()
        dim = variant.prompt_dim
        self.transformer = TwoWayTransformer(dim, variant.decoder_heads, variant.decoder_mlp_dim)
        self.iou_token = nn.Embedding(1, dim)
        self.mask_tokens = nn.Embedding(self.num_mask_tokens, dim)
        self.final_output_upscaling_layers = nn.ModuleList(
            [
                nn.Sequential(
                    nn.ConvTranspose2d(dim, dim // 4, 2, stride=2),
                    nn.GroupNorm(1, dim // 4),
                    nn.GELU(),
                ),
                nn.Sequential(
                    nn.ConvTranspose2d(dim // 4, dim // 8, 2, stride=2), nn.Identity(), nn.GELU()
                ),
            ]
        )
        self.output_hypernetworks_mlps = nn.ModuleList(
            GeluLayers(dim, dim, dim // 8, 2) for _ in range(self.num_mask_tokens)
        )
        self.iou_prediction_head = GeluLayers(dim, dim, self.num_mask_tokens, 2)

    def forward(
        self, embeddings: Tensor, image_pe: Tensor, prompts: Tensor, tokens: slice
    ) -> tuple[Tensor, Tensor]:
        """Masks of prompts.

        Args:
            embeddings: Image embedding of each prompt, (N, C, h, w).
            image_pe: Encodings of the embedding's places, (1, C, h, w).
            prompts: Prompt tokens, (N, K, C).
            tokens: Which of the masks to compute.

        Returns:
            Mask logits (N, M, 4h, 4w) and predicted qualities (N, M).
        """
        output_tokens = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        queries = torch.cat([output_tokens.expand(len(prompts), -1, -1), prompts], dim=1)
        places = image_pe.expand_as(embeddings)
        hidden, keys = self.transformer(embeddings, places, queries)
        upscaled = keys.transpose(1, 2).reshape(embeddings.shape)
        for layer in self.final_output_upscaling_layers:
            upscaled = layer(upscaled)
        kernels = torch.stack(
            [
                self.output_hypernetworks_mlps[i](hidden[:, 1 + i])
                for i in range(self.num_mask_tokens)[tokens]
            ],
            dim=1,
        )
        mask_logits = torch.einsum('nmc,nchw->nmhw', kernels, upscaled)
        return mask_logits, self.iou_prediction_head(hidden[:, 0])[:, tokens]
