"""EfficientSAM as it was published: images in [0, 1] and points in, masks out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ext.efficient_sam.image_encoder import ViTEncoder
from ext.efficient_sam.mask_decoder import EfficientMaskDecoder
from ext.efficient_sam.prompt_encoder import PointEncoder
from ext.efficient_sam.variants import EfficientSamVariant

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class EfficientSam(nn.Module):
    """The three modules and what the published program does around them.

    Source: Xiong et al., "EfficientSAM", CVPR 2024, and its program (Apache-2.0).

    Args:
        variant: Sizes of the model.
        image_size: Side of the square canvas that images are stretched to, pixels; by default the
            variant's own.
    """

    def __init__(self, variant: EfficientSamVariant, image_size: int | None = None) -> None:
        super().__init__()
        self.image_size = image_size or variant.native_size
        self.image_encoder = ViTEncoder(variant)
        self.prompt_encoder = PointEncoder(variant.prompt_dim, self.image_size)
        self.mask_decoder = EfficientMaskDecoder(variant)

    def embed(self, images: Tensor) -> Tensor:
        """Embed images (B, 3, H, W), RGB in [0, 1], stretched to the canvas, as (B, C, h, w)."""
        canvas = (self.image_size, self.image_size)
        if tuple(images.shape[-2:]) != canvas:
            images = F.interpolate(images, canvas, mode='bilinear', align_corners=False)
        mean, std = (images.new_tensor(values).view(3, 1, 1) for values in (_MEAN, _STD))
        return self.image_encoder((images - mean) / std)

    def decode(
        self,
        embeddings: Tensor,
        points: Tensor,
        labels: Tensor,
        size: tuple[int, int],
        multimask_output: bool = True,
    ) -> tuple[Tensor, Tensor]:
        """Masks of the same number of prompts in every image.

        Args:
            embeddings: (B, C, h, w).
            points: (x, y) in pixels of the images, (B, Q, P, 2), P <= 6.
            labels: 1 click, 2 and 3 corners of a box, -1 padding, (B, Q, P). Prompts that are all
                padding fill up images with fewer; leave their masks out.
            size: (H, W) of the images.
            multimask_output: Whether the three masks for ambiguous prompts are computed rather
                than the one for clear prompts.

        Returns:
            Mask logits (B, Q, M, 4h, 4w) and predicted qualities (B, Q, M).
        """
        num = points.shape[1]
        factor = points.new_tensor([self.image_size / size[1], self.image_size / size[0]])
        placed = torch.where(points >= 0, points * factor, -torch.ones_like(points))
        tokens = self.prompt_encoder(placed.flatten(0, 1), labels.flatten(0, 1))
        masks, scores = self.mask_decoder(
            embeddings.repeat_interleave(num, dim=0),
            self.prompt_encoder.dense_positions((embeddings.shape[-2], embeddings.shape[-1])),
            tokens,
            slice(1, None) if multimask_output else slice(0, 1),
        )
        return masks.unflatten(0, (-1, num)), scores.unflatten(0, (-1, num))

    def forward(self, images: Tensor, points: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The three masks of every prompt at the size of the images.

        Args:
            images: (B, 3, H, W), RGB in [0, 1].
            points: As in :meth:`decode`.
            labels: As in :meth:`decode`.

        Returns:
            Mask logits (B, Q, 3, H, W) and predicted qualities (B, Q, 3), in the decoder's order.
        """
        size = (images.shape[-2], images.shape[-1])
        masks, scores = self.decode(self.embed(images), points, labels, size)
        full = F.interpolate(masks.flatten(0, 1), size, mode='bicubic', align_corners=False)
        return full.unflatten(0, masks.shape[:2]), scores
