"""What is to be found for phrases, and which queries should find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps, bbox_xyxy_to_cxcywh
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torchvision.ops import masks_to_boxes

from seg.structures import ClipSample
from seg.utils.checks import UserError


@dataclass(frozen=True)
class ConceptTargets:
    """All instances of one phrase in one image.

    Attributes:
        boxes: (N, 4), (cx, cy, w, h) in shares of the canvas.
        masks: (N, H, W), bool, at the size of the canvas.
    """

    boxes: Tensor
    masks: Tensor


@dataclass(frozen=True)
class MatchWeights:
    """What counts when queries are matched to instances.

    Attributes:
        score: Focal cost of the score.
        box: Distance of the boxes' numbers.
        giou: Generalised IoU of the boxes.
    """

    score: float = 2.0
    box: float = 5.0
    giou: float = 2.0


def concept_targets(sample: ClipSample) -> list[ConceptTargets]:
    """Targets of each phrase of a sample: the segments of the class it names.

    Crowds are no instances; segments without a pixel on the canvas cannot be found.

    Raises:
        UserError: If the sample has no ``phrase_labels``.
    """
    labels = sample.get('phrase_labels')
    if labels is None:
        raise UserError(
            'Sam3Segmentor: expected samples with phrase_labels, got one without; add '
            'dict(type=ConceptPhrases, ...) to the pipeline'
        )
    segments = sample.gt_segments
    masks = segments.masks[:, 0].bool()
    seen = masks.flatten(1).any(dim=1)
    if 'is_crowd' in segments:
        seen &= ~segments.is_crowd
    targets = []
    for label in labels:
        chosen = masks[seen & (segments.labels == label)]
        height, width = chosen.shape[-2:]
        boxes = masks_to_boxes(chosen) if len(chosen) else chosen.new_zeros(0, 4).float()
        boxes = boxes + boxes.new_tensor([0, 0, 1, 1])  # to the far side of the last pixel
        boxes = boxes / boxes.new_tensor([width, height] * 2)
        targets.append(ConceptTargets(bbox_xyxy_to_cxcywh(boxes), chosen))
    return targets


@torch.no_grad()
def match_queries(
    boxes: Tensor, logits: Tensor, wanted: Tensor, weights: MatchWeights
) -> tuple[Tensor, Tensor]:
    """Queries and the instances they should find, one each.

    Args:
        boxes: (Q, 4), (cx, cy, w, h).
        logits: (Q,).
        wanted: (N, 4).
        weights: Of the costs.

    Returns:
        Queries and instances, (min(Q, N),), int64.
    """
    probs = logits.float().sigmoid()[:, None]
    alpha, gamma = 0.25, 2
    found = alpha * (1 - probs) ** gamma * -(probs + 1e-8).log()
    missed = (1 - alpha) * probs**gamma * -(1 - probs + 1e-8).log()
    giou = bbox_overlaps(bbox_cxcywh_to_xyxy(boxes), bbox_cxcywh_to_xyxy(wanted), mode='giou')
    cost = weights.score * (found - missed) + weights.box * torch.cdist(boxes, wanted, p=1)
    queries, rows = linear_sum_assignment((cost - weights.giou * giou).cpu().numpy())
    return torch.from_numpy(queries).to(boxes.device), torch.from_numpy(rows).to(boxes.device)


def gather_rows(parts: Sequence[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Phrases and queries of all matches, (M,), from the matches of each phrase."""
    phrases = [torch.full_like(queries, row) for row, (queries, _) in enumerate(parts)]
    return torch.cat(phrases), torch.cat([queries for queries, _ in parts])
