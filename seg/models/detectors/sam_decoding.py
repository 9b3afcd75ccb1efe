"""SAM's prompt encoder and mask decoder for many prompts of many images at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from segment_anything.modeling import PromptEncoder
from torch import Tensor
from torch.nn import functional as F

from ext.sam import SharedImageDecoder
from seg.structures import PointLabel, Prompts

_MASK_CLAMP = 1e-3  # mask prompts are probabilities; SAM reads logits


class PromptGroup(NamedTuple):
    """Rows of prompts, of any images, that become the same number of tokens.

    Attributes:
        rows: Which rows of all prompts these are, (n,), int64.
        points: (n, P, 2) pixels of the canvas, or ``None``.
        labels: (n, P), or ``None``.
        boxes: (n, 4), or ``None``.
        masks: Probabilities at the canvas's size, (n, H, W), or ``None``.
        answers: Mask logits of the model's last answer, (n, h, w), or ``None``; they go before
            ``masks``.
    """

    rows: Tensor
    points: Tensor | None
    labels: Tensor | None
    boxes: Tensor | None
    masks: Tensor | None
    answers: Tensor | None = None


def group_prompts(prompts: Sequence[Prompts]) -> Iterator[PromptGroup]:
    """Sort the rows of several images by what they hold; points that pad a row are dropped.

    Args:
        prompts: One set per image.
    """
    kinds: dict[tuple[int, bool, bool, bool], list[tuple[int, int, int]]] = {}
    first = 0
    for image, rows in enumerate(prompts):
        clicks = (rows.point_labels != PointLabel.PADDING).sum(dim=1).tolist()
        signature = zip(
            clicks,
            rows.has_box.tolist(),
            rows.has_mask.tolist(),
            _has_answer(rows).tolist(),
            strict=True,
        )
        for row, kind in enumerate(signature):
            kinds.setdefault(kind, []).append((first + row, image, row))
        first += len(rows)
    for (num_points, has_box, has_mask, has_answer), members in kinds.items():
        picked = [prompts[image][[row]] for _, image, row in members]
        points = labels = None
        if num_points:
            used = [p.point_labels[0] != PointLabel.PADDING for p in picked]
            points = torch.stack([p.point_coords[0, u] for p, u in zip(picked, used, strict=True)])
            labels = torch.stack([p.point_labels[0, u] for p, u in zip(picked, used, strict=True)])
        yield PromptGroup(
            rows=torch.tensor([place for place, _, _ in members]),
            points=points,
            labels=labels,
            boxes=torch.cat([p.boxes for p in picked]) if has_box else None,
            masks=torch.cat([p.masks for p in picked if p.masks is not None]) if has_mask else None,
            answers=torch.cat(
                [p.previous_logits[:, 0] for p in picked if p.previous_logits is not None]
            )
            if has_answer
            else None,
        )


def _has_answer(prompts: Prompts) -> Tensor:
    """Which rows carry the model's last answer, (N,), bool."""
    if prompts.previous_logits is None:
        return torch.zeros(len(prompts), dtype=torch.bool)
    return prompts.previous_logits.flatten(1).any(dim=1)


def encode_prompts(encoder: PromptEncoder, group: PromptGroup) -> tuple[Tensor, Tensor]:
    """Tokens of prompts and their dense embedding, as SAM computes them, in single precision.

    Coordinates mean what they mean to segment-anything: its prompt encoder adds half a pixel.

    Args:
        encoder: The package's prompt encoder.
        group: n rows.

    Returns:
        Tokens (n, K, C), and (n, C, h, w), or (1, C, h, w) where it is the same for all of them.
    """
    points = None
    if group.points is not None and group.labels is not None:
        points = (group.points.float(), group.labels)
    masks = None
    if group.answers is not None:
        masks = group.answers[:, None].float()
    elif group.masks is not None:
        probs = F.interpolate(group.masks[:, None].float(), encoder.mask_input_size, mode='area')
        masks = torch.logit(probs, eps=_MASK_CLAMP)
    sparse, dense = encoder(points=points, boxes=group.boxes, masks=masks)
    return sparse, dense[:1] if masks is None else dense


def decode_tokens(
    decoder: SharedImageDecoder,
    embeddings: Tensor,
    image_pe: Tensor,
    sparse: Tensor,
    dense: Tensor,
    tokens: slice,
) -> tuple[Tensor, Tensor]:
    """SAM's mask decoder for many prompts, computing only the wanted masks.

    Args:
        decoder: The decoder.
        embeddings: Image embedding of each prompt, (n, C, h, w), or of all of them, (1, C, h, w).
        image_pe: Position encoding of the embedding, (1, C, h, w).
        sparse: Prompt tokens, (n, K, C).
        dense: Dense embedding of each prompt, (n, C, h, w), or of all of them, (1, C, h, w).
        tokens: Which of the decoder's masks to compute.

    Returns:
        Mask logits (n, M, 4h, 4w) and predicted qualities (n, M).
    """
    queries = torch.cat([decoder.output_tokens.expand(len(sparse), -1, -1), sparse], dim=1)
    hidden, keys = decoder.transformer(embeddings + dense, image_pe, queries)
    places = range(decoder.num_mask_tokens)[tokens]
    kernels = torch.stack(
        [decoder.output_hypernetworks_mlps[i](hidden[:, 1 + i]) for i in places], dim=1
    )
    mask_logits = decoder.draw(keys, kernels, (embeddings.shape[-2], embeddings.shape[-1]))
    return mask_logits, decoder.iou_prediction_head(hidden[:, 0])[:, tokens]
