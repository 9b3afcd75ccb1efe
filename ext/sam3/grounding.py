"""SAM 3's way from images and phrases to instances, with the outputs of every layer.

The modules are transformers' own; their order is that of its ``Sam3Model.forward``, which wants one
phrase per image and keeps the outputs of the inner layers to itself.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

LEVELS = (1, 2, 4)
"""Scales of the feature maps, coarse to fine, against the grid of patches."""


class ConceptOutputs(NamedTuple):
    """What is found for R phrases, each on an image.

    Attributes:
        boxes: Boxes (cx, cy, w, h) in shares of the canvas, [0, 1], of each decoder layer,
            (L, R, Q, 4).
        class_logits: Whether a query found an instance of the phrase, given that there is one,
            (L, R, Q).
        presence_logits: Whether the image has an instance at all, (L, R).
        mask_logits: Masks of the last layer, (R, Q, h, w).
        semantic_logits: All instances together, (R, h, w).
    """

    boxes: Tensor
    class_logits: Tensor
    presence_logits: Tensor
    mask_logits: Tensor
    semantic_logits: Tensor

    @property
    def scores(self) -> Tensor:
        """Confidence of each query of the last layer, (R, Q), in [0, 1]."""
        presence = self.presence_logits[-1].float().sigmoid()
        return self.class_logits[-1].float().sigmoid() * presence[:, None]


def encode_vision(vision_encoder: Any, images: Tensor) -> Tensor:
    """Feature maps of images (B, 3, H, W), packed; see :func:`unpack_levels`."""
    tokens = vision_encoder.backbone(images).last_hidden_state
    grid = [size // vision_encoder.config.backbone_config.patch_size for size in images.shape[-2:]]
    trunk = tokens.transpose(1, 2).unflatten(2, grid)
    finest_first = [layer(trunk) for layer in vision_encoder.neck.fpn_layers[: len(LEVELS)]]
    packed = [
        F.pixel_unshuffle(level, scale)
        for level, scale in zip(reversed(finest_first), LEVELS, strict=True)
    ]
    return torch.cat(packed, dim=1)


def unpack_levels(packed: Tensor) -> list[Tensor]:
    """The maps of all scales from one tensor.

    Args:
        packed: (B, 21 C, h, w): the coarse map in the first C channels, then the others, each
            square of their cells as channels of one coarse cell.

    Returns:
        Maps (B, C, s h, s w) of the scales s in 4, 2, 1: fine to coarse.
    """
    squares = [scale * scale for scale in LEVELS]
    width = packed.shape[1] // sum(squares)
    parts = packed.split([square * width for square in squares], dim=1)
    levels = [F.pixel_shuffle(part, s) for part, s in zip(parts, LEVELS, strict=True)]
    return levels[::-1]


def encode_text(model: Any, tokens: Tensor, valid: Tensor) -> Tensor:
    """Embeddings of phrases, (P, L, C), from tokens (P, L) and which of them count."""
    encoded = model.text_encoder(input_ids=tokens, attention_mask=valid.long())
    return model.text_projection(encoded.last_hidden_state)


def ground(
    model: Any, levels: list[Tensor], text: Tensor, valid: Tensor, boxes: Tensor | None = None
) -> ConceptOutputs:
    """Find all instances of R phrases, one per image.

    Args:
        model: Has the modules of :data:`~ext.sam3.architecture.SAM3_PARTS`.
        levels: Maps (R, C, s h, s w), fine to coarse.
        text: Embeddings of the phrases, (R, L, C).
        valid: Which of the tokens count, (R, L), bool.
        boxes: An exemplar per phrase, (R, 4), (cx, cy, w, h) in shares of the canvas.
    """
    coarse = levels[-1]
    position = model.vision_encoder.neck.position_encoding(
        coarse.shape, coarse.device, coarse.dtype
    )
    if boxes is not None:
        shown = _encode_exemplars(model, levels, position, boxes)
        text = torch.cat([text, shown.last_hidden_state], dim=1)
        valid = torch.cat([valid, shown.attention_mask.bool()], dim=1)
    joined = model.detr_encoder(
        vision_features=[coarse],
        text_features=text,
        vision_pos_embeds=[position],
        text_mask=valid,
    )
    decoded = model.detr_decoder(
        vision_features=joined.last_hidden_state,
        text_features=joined.text_features,
        vision_pos_encoding=joined.pos_embeds_flattened,
        text_mask=valid,
        spatial_shapes=joined.spatial_shapes,
    )
    queries = decoded.intermediate_hidden_states
    masks = model.mask_decoder(
        decoder_queries=queries[-1],
        backbone_features=levels,
        encoder_hidden_states=joined.last_hidden_state,
        prompt_features=text,
        prompt_mask=valid,
    )
    moved = model.detr_decoder.box_head(queries).float()
    logits = model.dot_product_scoring(
        decoder_hidden_states=queries, text_features=joined.text_features, text_mask=valid
    )
    return ConceptOutputs(
        boxes=(_inverse_sigmoid(decoded.reference_boxes.float()) + moved).sigmoid(),
        class_logits=logits.squeeze(-1),
        presence_logits=decoded.presence_logits.squeeze(-1),
        mask_logits=masks.pred_masks,
        semantic_logits=masks.semantic_seg.squeeze(1),
    )


def _encode_exemplars(model: Any, levels: list[Tensor], position: Tensor, boxes: Tensor) -> Any:
    """What boxes show, in the precision of the weights: boxes are too fine for autocast."""
    dtype = model.geometry_encoder.label_embed.weight.dtype
    each = boxes[:, None].to(dtype)
    known = torch.ones(each.shape[:2], dtype=torch.bool, device=each.device)
    with torch.autocast(boxes.device.type, enabled=False):
        return model.geometry_encoder(
            box_embeddings=each,
            box_mask=known,
            box_labels=known.long(),
            img_feats=tuple(level.to(dtype) for level in levels),
            img_pos_embeds=(position.to(dtype),),
        )


def _inverse_sigmoid(shares: Tensor, least: float = 1e-3) -> Tensor:
    """Logits of shares in [0, 1], with the bounds that the decoder itself uses."""
    return torch.log(shares.clamp(min=least) / (1 - shares).clamp(min=least))
