"""Raw losses of a whole batch: who is matched to what, and how well it fits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.losses.class_loss import class_loss, class_weight
from seg.models.losses.mask_losses import bce_loss, dice_loss, mask_iou
from seg.models.losses.mask_sampling import GridSampling
from seg.models.losses.panoptic_overlap import panoptic_overlap_loss
from seg.models.losses.targets import Assignment, Targets
from seg.registry import MODELS
from seg.structures import StageOutput


@MODELS.register_module()
class SegmentCriterion(nn.Module):
    """Set prediction losses, for found and for prompted objects.

    Found objects are matched to the ground truth at minimal cost (Carion et al., DETR, ECCV 2020),
    every stage anew. The quality target is the detached IoU of the thresholded mask; the
    public model instead regresses a soft Dice value and lets its gradient into the masks.
    A query that is not matched should say "no object"; where a data set does not annotate some
    classes it may as well name one of those.

    Args:
        sampling: Where masks are compared, :class:`PointSampling` when left out.
        no_object_weight: Weight of "no object" in the cross-entropy.
        class_cost: Weight of the class probability in the matching.
        mask_cost: Weight of the cross-entropy of masks in the matching.
        dice_cost: Weight of Dice in the matching.
    """

    def __init__(
        self,
        *,
        sampling: dict | None = None,
        no_object_weight: float = 0.1,
        class_cost: float = 2.0,
        mask_cost: float = 5.0,
        dice_cost: float = 5.0,
    ) -> None:
        super().__init__()
        self.sampling = MODELS.build(sampling or dict(type='PointSampling'))
        self.no_object_weight = no_object_weight
        self.class_cost = class_cost
        self.mask_cost = mask_cost
        self.dice_cost = dice_cost

    def forward(
        self,
        stages: Sequence[StageOutput],
        targets: Sequence[Targets],
        wanted: frozenset[str],
        averages: Mapping[str, Tensor | float] | None = None,
        sharpen: Sequence[Callable[[Tensor], Tensor]] | None = None,
    ) -> dict[str, Tensor]:
        """Raw losses of all stages.

        Args:
            stages: Predictions, the last one of the adapter.
            targets: One per clip.
            wanted: Which of ``'cls'``, ``'mask'``, ``'dice'``, ``'iou'`` and, of the last
                prediction, ``'panoptic'`` are computed.
            averages: :meth:`counts`, averaged over processes; those of this batch when left out.
            sharpen: What brings masks (N, T, h, w) of each clip to a finer grid, if there is one;
                the last prediction is compared there as well, ``'fine.mask'`` and ``'fine.dice'``,
                and its quality is measured there.

        Returns:
            ``'d0.mask'``, ..., and ``'mask'`` for the last prediction -> scalar, float32. There is
            no ``'cls'`` where the data set annotates no class.
        """
        device = stages[0].queries.device
        averages = self.counts(stages, targets) if averages is None else averages
        if all(target.has_no_classes for target in targets):
            wanted -= {'cls'}
        size = stages[0].mask_logits.shape[-2:]
        targets = [replace(t, compared=self.sampling.prepare(t.masks, size)) for t in targets]
        losses = {}
        with torch.autocast(device.type, enabled=False):
            for i, stage in enumerate(stages):
                is_last = i == len(stages) - 1
                prefix = '' if is_last else f'd{i}.'
                parts = wanted if is_last else wanted - {'panoptic'}
                divisors = _Divisors.of_stage(averages, i, device)
                finer = sharpen if is_last else None
                raw = self._stage_losses(_as_float(stage), targets, parts, divisors, finer)
                losses.update({prefix + name: value for name, value in raw.items()})
        return losses

    def counts(
        self, stages: Sequence[StageOutput], targets: Sequence[Targets]
    ) -> dict[str, Tensor | float]:
        """What the losses of a batch are divided by.

        Returns:
            ``'masks'``: number of target masks; ``'classes.0'``, ...: summed weights of the
            queries in each stage's cross-entropy.
        """
        counts: dict[str, Tensor | float] = {'masks': float(sum(len(t.labels) for t in targets))}
        for i, stage in enumerate(stages):
            if stage.class_logits is not None:
                num_queries = stage.class_logits.shape[1]
                weights = [class_weight(t, num_queries, self.no_object_weight) for t in targets]
                counts[f'classes.{i}'] = torch.stack(weights).sum()
        return counts

    def _stage_losses(
        self,
        stage: StageOutput,
        targets: Sequence[Targets],
        wanted: frozenset[str],
        divisors: _Divisors,
        sharpen: Sequence[Callable[[Tensor], Tensor]] | None,
    ) -> dict[str, Tensor]:
        pairs = [self.assign(stage, i, target) for i, target in enumerate(targets)]
        losses = {}
        if 'cls' in wanted and stage.class_logits is not None:
            summed = class_loss(stage.class_logits, targets, pairs, self.no_object_weight)
            losses['cls'] = summed / divisors.classes
        mask_logits = torch.cat(
            [stage.mask_logits[i, pair.queries] for i, pair in enumerate(pairs)]
        )
        if wanted & {'mask', 'dice'}:
            compared = _gather([target.compared for target in targets], pairs)
            losses |= self._mask_losses(mask_logits, compared, wanted, divisors.masks)
            if sharpen is not None:
                fine = _sharpened(stage, pairs, sharpen)
                masks = _gather([target.masks for target in targets], pairs)
                compared = self.sampling.prepare(masks, fine.shape[-2:])
                found = self._mask_losses(fine, compared, wanted, divisors.masks)
                losses |= {f'fine.{name}': value for name, value in found.items()}
        if 'iou' in wanted and stage.iou_logits is not None:
            iou_logits = torch.cat([stage.iou_logits[i, p.queries] for i, p in enumerate(pairs)])
            masks = _gather([target.masks for target in targets], pairs)
            with torch.no_grad():
                answered = mask_logits if sharpen is None else _sharpened(stage, pairs, sharpen)
                quality = mask_iou(answered, masks)
            errors = (iou_logits - quality).square()
            losses['iou'] = errors.sum() / divisors.masks
        if 'panoptic' in wanted:
            losses['panoptic'] = self._panoptic_loss(stage, targets, pairs) / divisors.masks
        return losses

    @torch.no_grad()
    def assign(self, stage: StageOutput, index: int, target: Targets) -> Assignment:
        """Queries of clip ``index`` that answer its targets."""
        device = stage.queries.device
        if target.queries is not None:
            return Assignment(target.queries, torch.arange(len(target.queries), device=device))
        cost = self._matching_cost(stage, index, target)
        queries, rows = linear_sum_assignment(cost.cpu().numpy())
        return Assignment(
            torch.as_tensor(queries, device=device), torch.as_tensor(rows, device=device)
        )

    def _matching_cost(self, stage: StageOutput, index: int, target: Targets) -> Tensor:
        """Cost of every query for every row, (Q, N)."""
        assert target.compared is not None, 'prepare the targets before they are matched'
        logits, targets = self.sampling.for_matching(stage.mask_logits[index], target.compared)
        probs = logits.sigmoid()
        hit, miss = F.softplus(-logits), F.softplus(logits)
        bce = (hit @ targets.T + miss @ (1 - targets).T) / logits.shape[1]
        total = probs.sum(dim=1, keepdim=True) + targets.sum(dim=1)
        dice = 1 - (2 * probs @ targets.T + 1) / (total + 1)
        cost = self.mask_cost * bce + self.dice_cost * dice
        if stage.class_logits is not None:
            class_probs = stage.class_logits[index].softmax(dim=-1)
            known = (target.labels >= 0).float()
            chosen = class_probs[:, target.labels.clamp(min=0)]
            cost = cost - self.class_cost * chosen * known
        return torch.nan_to_num(cost, nan=1e6, posinf=1e6, neginf=-1e6)

    def _panoptic_loss(
        self, stage: StageOutput, targets: Sequence[Targets], pairs: Sequence[Assignment]
    ) -> Tensor:
        """Summed over segments that have a query."""
        assert stage.class_logits is not None, 'a panoptic map needs class logits'
        size = stage.mask_logits.shape[-2:]
        losses = []
        for i, (target, pair) in enumerate(zip(targets, pairs, strict=True)):
            missed = torch.ones(len(target.masks), dtype=torch.bool, device=pair.rows.device)
            missed[pair.rows] = False
            masks = torch.cat([target.masks[pair.rows], target.masks[missed]])
            coverage = GridSampling().prepare(masks, size)
            losses.append(
                panoptic_overlap_loss(
                    stage.mask_logits[i], stage.class_logits[i], pair.queries, coverage
                )
            )
        return torch.cat(losses).sum()

    def _mask_losses(
        self, mask_logits: Tensor, masks: Tensor, wanted: frozenset[str], num_masks: Tensor
    ) -> dict[str, Tensor]:
        logits, points = self.sampling.for_loss(mask_logits, masks)
        losses = {}
        if 'mask' in wanted:
            losses['mask'] = bce_loss(logits, points).sum() / num_masks
        if 'dice' in wanted:
            losses['dice'] = dice_loss(logits, points).sum() / num_masks
        return losses


class _Divisors(NamedTuple):
    """What the losses of one stage are divided by, scalars."""

    masks: Tensor
    classes: Tensor

    @classmethod
    def of_stage(
        cls, averages: Mapping[str, Tensor | float], index: int, device: torch.device
    ) -> _Divisors:
        masks = torch.as_tensor(averages['masks'], device=device)
        classes = torch.as_tensor(averages.get(f'classes.{index}', 1.0), device=device)
        return cls(masks.clamp(min=1.0), classes.clamp(min=1e-6))


def _gather(masks: Sequence[Tensor | None], pairs: Sequence[Assignment]) -> Tensor:
    """The masks of all clips that were assigned, in order, (M, T, H, W)."""
    chosen = []
    for clip_masks, pair in zip(masks, pairs, strict=True):
        assert clip_masks is not None, 'the masks were not prepared'
        chosen.append(clip_masks[pair.rows])
    return torch.cat(chosen)


def _sharpened(
    stage: StageOutput, pairs: Sequence[Assignment], sharpen: Sequence[Callable[[Tensor], Tensor]]
) -> Tensor:
    """The predicted masks that were assigned, in order, on the finer grid."""
    fine = [
        finer(stage.mask_logits[i, pair.queries])
        for i, (finer, pair) in enumerate(zip(sharpen, pairs, strict=True))
    ]
    return torch.cat(fine)


def _as_float(stage: StageOutput) -> StageOutput:
    """The same predictions in float32."""
    return StageOutput(
        queries=stage.queries.float(),
        mask_logits=stage.mask_logits.float(),
        class_logits=None if stage.class_logits is None else stage.class_logits.float(),
        iou_logits=None if stage.iou_logits is None else stage.iou_logits.float(),
    )
