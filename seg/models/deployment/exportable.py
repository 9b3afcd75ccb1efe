"""Networks in the form in which they leave Python: tensors in, tensors out, no state."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from seg.models.prompts.prompt_maps import PromptBatch
from seg.structures import Task

STRIDE = 4  # of mask features


class ImageEncoder(nn.Module):
    """Pixels to features.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone, self.neck, self.appearance = model.backbone, model.neck, model.appearance
        preprocessor = model.data_preprocessor
        self.register_buffer('mean', preprocessor.mean.clone())
        self.register_buffer('std', preprocessor.std.clone())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Encode images.

        Args:
            images: RGB, 0 to 255, (B, 3, H, W), float; sides are multiples of 32, padded at the
                bottom and the right with the mean colour.

        Returns:
            mask_features (B, C, H/4, W/4), and context_feats (B, C, H/16, W/16) if the model has
            them.
        """
        normal = (images - self.mean) / self.std
        feats = self.neck(self.backbone(normal))
        mask_features = feats.mask_features
        if self.appearance is not None:
            mask_features = self.appearance(normal, mask_features)
        if feats.context_feats is None:
            return (mask_features.contiguous(),)
        return mask_features.contiguous(), feats.context_feats.contiguous()


class ObjectDecoder(nn.Module):
    """Features to everything in the picture.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = model.head

    def forward(
        self, mask_features: Tensor, context_feats: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Class logits (B, Q, K + 1) and mask logits (B, Q, H/4, W/4) of the found objects."""
        route = self.head.router.routes[Task.PANOPTIC]
        final = self.head(one_frame(mask_features), one_frame(context_feats), route)[-1]
        return final.class_logits, final.mask_logits[:, :, 0]


class PromptDecoder(nn.Module):
    """Features and clicks, boxes or an earlier answer to masks of the objects that are meant.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = without_texts(model.head)

    def forward(
        self,
        points: Tensor,
        point_labels: Tensor,
        boxes: Tensor,
        has_box: Tensor,
        previous_logits: Tensor,
        has_previous: Tensor,
        mask_features: Tensor,
        context_feats: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer N prompts about one image.

        Args:
            points: (x, y) in pixels of the padded image, (1, N, P, 2).
            point_labels: 1 on the object, 0 beside it, -1 no point, (1, N, P), int64.
            boxes: xyxy, (1, N, 4); zeros where there is none.
            has_box: (1, N), bool.
            previous_logits: (1, N, h, w); zeros where there was no answer.
            has_previous: (1, N), bool.
            mask_features: (1, C, h, w).
            context_feats: (1, C, h', w'), if the model has them.

        Returns:
            Mask logits (1, N, h, w) and predicted qualities (1, N), in [0, 1].
        """
        size = mask_features.shape[-2:]
        canvas = size[0] * STRIDE, size[1] * STRIDE
        nothing = torch.zeros_like(has_box)
        batch = PromptBatch(
            points=points,
            point_labels=point_labels,
            boxes=boxes,
            has_box=has_box,
            mask_probs=torch.zeros_like(previous_logits),
            has_mask=nothing,
            previous=previous_logits.unsqueeze(2),
            has_previous=has_previous,
            texts=[(None,) * points.shape[1]],
            valid=~nothing,
        )
        features = one_frame(mask_features)
        queries = self.head.prompt_encoder.encode(
            batch, features, canvas=canvas, image_shapes=[canvas]
        )
        route = self.head.router.routes[Task.INTERACTIVE_IMAGE]
        final = self.head(features, one_frame(context_feats), route, queries)[-1]
        logits = final.mask_logits[:, :: queries.num_tokens, 0]
        if self.head.click_keeper is not None:
            kept = self.head.click_keeper(
                logits[0], points[0], point_labels[0], mask_features[0], canvas=canvas
            )
            logits = kept.unsqueeze(0)
        return logits, final.iou_logits[:, :: queries.num_tokens].clamp(0, 1)


class MaskSharpener(nn.Module):
    """Masks of any part on the finer grid that predictions of the model have.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM` with a ``mask_upsampler``.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.upsampler = model.head.mask_upsampler

    def forward(self, mask_logits: Tensor, mask_features: Tensor) -> Tensor:
        """Mask logits (1, N, h, w) on features (1, C, h, w) become (1, N, 2h, 2w), factor 2."""
        weights = self.upsampler.weights(mask_features)
        return self.upsampler(mask_logits.transpose(0, 1), weights).transpose(0, 1)


def without_texts(head: Any) -> Any:
    """A head that shares all parts but does not look for objects by texts."""
    bare = copy.copy(head)
    bare._modules = {**head._modules, 'text_matcher': None}
    return bare


def one_frame(feats: Any) -> Any:
    """Features (B, C, h, w) of a clip of one frame, (B, 1, C, h, w)."""
    return None if feats is None else feats.unsqueeze(1)
