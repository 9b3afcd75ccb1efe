"""Losses of a model that finds all instances of a phrase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from mmdet.structures.bbox import bbox_cxcywh_to_xyxy, bbox_overlaps
from mmengine.dist import all_reduce
from torch import Tensor, nn
from torch.nn import functional as F

from ext.sam3 import ConceptOutputs
from seg.models.losses.concept_targets import (
    ConceptTargets,
    MatchWeights,
    concept_targets,
    gather_rows,
    match_queries,
)
from seg.models.losses.mask_losses import dice_loss
from seg.registry import MODELS
from seg.structures import ClipSample
from seg.utils.checks import UserError, unknown_name_message

CONCEPT_WEIGHTS = {
    'box': 5.0,
    'giou': 2.0,
    'score': 20.0,
    'presence': 20.0,
    'mask': 200.0,
    'dice': 10.0,
    'semantic': 20.0,
    'semantic_dice': 30.0,
}
"""Weights of the losses in SAM 3's training."""


class _Matches(NamedTuple):
    """Matched pairs of one layer: phrases, queries (M,) and boxes and masks of the instances."""

    phrases: Tensor
    queries: Tensor
    boxes: Tensor
    masks: Tensor


@MODELS.register_module()
class ConceptCriterion(nn.Module):
    """Losses of SAM 3 for phrases, after each layer of the decoder.

    Source: Carion et al., "SAM 3", 2025, and DETR's matching. Queries are matched to instances one
    to one; a matched score should be ``p^a IoU^(1 - a)`` of its box, others zero, and scores of
    phrases that the image does not have are left to the presence score. Masks are compared at
    sampled points, in the last layer alone, as is the map of all instances. Everything is computed
    in single precision and divided by the number of instances, averaged over processes. SAM 3's
    further one-to-many branch is not part of transformers' model and is left out.

    Args:
        weights: Weights that differ from :data:`CONCEPT_WEIGHTS`.
        match: Weights of matching; fields of :class:`MatchWeights`.
        sampling: Config of where masks are compared; by default 12544 points.
        positive_weight: Weight of matched scores against others.
        auxiliary: Whether inner layers are trained too.

    Raises:
        UserError: If a weight has an unknown name.
    """

    def __init__(
        self,
        weights: Mapping[str, float] | None = None,
        match: Mapping[str, float] | None = None,
        sampling: dict[str, Any] | None = None,
        positive_weight: float = 10.0,
        auxiliary: bool = True,
    ) -> None:
        super().__init__()
        for name in weights or {}:
            if name not in CONCEPT_WEIGHTS:
                raise UserError(
                    f'criterion.weights: {unknown_name_message("loss", name, CONCEPT_WEIGHTS)}'
                )
        self.weights = CONCEPT_WEIGHTS | dict(weights or {})
        self.match = MatchWeights(**(match or {}))
        self.sampling = MODELS.build(sampling or dict(type='PointSampling'))
        self.positive_weight = positive_weight
        self.auxiliary = auxiliary

    def forward(self, outputs: ConceptOutputs, samples: Sequence[ClipSample]) -> dict[str, Tensor]:
        """Weighted losses by name, those of inner layers with ``d0.`` and so on before it.

        Args:
            outputs: Of the phrases of all samples, one after the other.
            samples: With ``gt_segments`` and ``phrase_labels``.
        """
        device = outputs.boxes.device
        targets = [target for sample in samples for target in concept_targets(sample)]
        count = self.mean_count(targets, device)
        losses: dict[str, Tensor] = {}
        with torch.autocast(device.type, enabled=False):
            last = len(outputs.boxes) - 1
            for layer in range(0 if self.auxiliary else last, last + 1):
                boxes, logits = outputs.boxes[layer].float(), outputs.class_logits[layer].float()
                pairs = self._match(boxes, logits, targets)
                values = self._layer(boxes, logits, pairs, targets, count)
                values['presence'] = _presence(outputs.presence_logits[layer].float(), targets)
                if layer == last:
                    values |= self._masks(outputs.mask_logits, pairs, count)
                    values |= self._semantic(outputs.semantic_logits, targets)
                start = '' if layer == last else f'd{layer}.'
                losses |= {f'{start}loss_{k}': self.weights[k] * v for k, v in values.items()}
        return losses

    @staticmethod
    def mean_count(targets: Sequence[ConceptTargets], device: torch.device) -> Tensor:
        """Instances in this batch, averaged over processes and at least 1.

        All processes call this once in a step, those without a phrase too.
        """
        count = torch.tensor(float(sum(len(target.boxes) for target in targets)), device=device)
        all_reduce(count, 'mean')
        return count.clamp(min=1)

    def _match(self, boxes: Tensor, logits: Tensor, targets: Sequence[ConceptTargets]) -> _Matches:
        parts = [
            match_queries(boxes[row], logits[row], target.boxes, self.match)
            for row, target in enumerate(targets)
        ]
        wanted = list(zip(targets, parts, strict=True))
        return _Matches(
            *gather_rows(parts),
            torch.cat([target.boxes[rows] for target, (_, rows) in wanted]),
            torch.cat([target.masks[rows] for target, (_, rows) in wanted]),
        )

    def _layer(
        self,
        boxes: Tensor,
        logits: Tensor,
        pairs: _Matches,
        targets: Sequence[ConceptTargets],
        count: Tensor,
    ) -> dict[str, Tensor]:
        found = boxes[pairs.phrases, pairs.queries]
        corners = bbox_cxcywh_to_xyxy(found), bbox_cxcywh_to_xyxy(pairs.boxes)
        giou = bbox_overlaps(*corners, mode='giou', is_aligned=True)
        iou = bbox_overlaps(*corners, is_aligned=True).detach()
        return {
            'box': (found - pairs.boxes).abs().sum() / count,
            'giou': (1 - giou).sum() / count,
            'score': self._scores(logits, iou, pairs, targets),
        }

    def _scores(
        self, logits: Tensor, iou: Tensor, pairs: _Matches, targets: Sequence[ConceptTargets]
    ) -> Tensor:
        """Mean over the queries of phrases that the image has."""
        wanted = torch.zeros_like(logits)
        weights = logits.sigmoid().detach() ** 2
        at = pairs.phrases, pairs.queries
        soft = logits[at].sigmoid().detach() ** 0.25 * iou.clamp(0, 1) ** 0.75
        wanted[at] = soft.clamp(min=0.01)
        weights[at] = self.positive_weight
        present = _has_instances(targets, logits)
        each = F.binary_cross_entropy_with_logits(logits, wanted, weights, reduction='none')
        return (each.mean(dim=1) * present).sum() / present.sum().clamp(min=1)

    def _masks(self, mask_logits: Tensor, pairs: _Matches, count: Tensor) -> dict[str, Tensor]:
        chosen = mask_logits[pairs.phrases, pairs.queries].float()
        if not len(chosen):
            return {'mask': chosen.sum(), 'dice': chosen.sum()}
        masks = self.sampling.prepare(pairs.masks[:, None], chosen.shape[-2:])
        sampled = self.sampling.for_loss(chosen[:, None], masks)
        return {
            'mask': focal_loss(sampled.logits, sampled.targets, 0.25).mean(dim=1).sum() / count,
            'dice': dice_loss(sampled.logits, sampled.targets).sum() / count,
        }

    def _semantic(
        self, semantic_logits: Tensor, targets: Sequence[ConceptTargets]
    ) -> dict[str, Tensor]:
        """The map of all instances, for the phrases that the image has."""
        logits = semantic_logits.float()
        covered = torch.stack([target.masks.any(dim=0) for target in targets]).float()
        height, width = logits.shape[-2:]
        wanted = F.adaptive_avg_pool2d(covered, (height, width)).flatten(1)
        present = _has_instances(targets, logits)
        divisor, flat = present.sum().clamp(min=1), logits.flatten(1)
        return {
            'semantic': (focal_loss(flat, wanted, 0.6).mean(dim=1) * present).sum() / divisor,
            'semantic_dice': (dice_loss(flat, wanted) * present).sum() / divisor,
        }


def focal_loss(logits: Tensor, targets: Tensor, alpha: float, gamma: float = 2.0) -> Tensor:
    """Focal loss of every element, same shape; targets in [0, 1].

    Source: Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, equation 5.
    """
    probs = logits.sigmoid()
    each = F.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    wrong = probs * (1 - targets) + (1 - probs) * targets
    return (alpha * targets + (1 - alpha) * (1 - targets)) * wrong**gamma * each


def _presence(logits: Tensor, targets: Sequence[ConceptTargets]) -> Tensor:
    """Whether the image has what each phrase names, both cases weighing one half."""
    return 0.5 * F.binary_cross_entropy_with_logits(logits, _has_instances(targets, logits))


def _has_instances(targets: Sequence[ConceptTargets], like: Tensor) -> Tensor:
    return like.new_tensor([float(len(target.boxes) > 0) for target in targets])
