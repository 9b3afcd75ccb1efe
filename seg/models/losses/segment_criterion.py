"""Raw losses of a whole batch: who is matched to what, and how well it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from mmengine.dist import get_world_size, is_distributed
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch import distributed as torch_dist
from torch.nn import functional as F

from seg.models.losses.mask_losses import bce_loss, dice_loss, mask_iou
from seg.registry import MODELS
from seg.structures import StageOutput


@dataclass(frozen=True)
class Targets:
    """Ground truth of one clip.

    Attributes:
        masks: (N, T, H, W), bool, at the size of the padded input.
        labels: (N,), int64; -1 where the class is unknown.
        queries: Query of each row where prompts name it, (N,); ``None`` where it is matched.
        compared: The masks as the criterion's sampling prepares them, once for all stages.
    """

    masks: Tensor
    labels: Tensor
    queries: Tensor | None = None
    compared: Tensor | None = None


@dataclass(frozen=True)
class Assignment:
    """Which queries of a clip answer which rows of its targets; (M,) each, int64."""

    queries: Tensor
    rows: Tensor


def average_over_ranks(count: int, device: torch.device) -> Tensor:
    """Mean of a count over all processes, at least one; scalar tensor."""
    total = torch.tensor(float(count), device=device)
    if is_distributed():
        torch_dist.all_reduce(total)
        total = total / get_world_size()
    return total.clamp(min=1.0)


@MODELS.register_module()
class SegmentCriterion(nn.Module):
    """Set prediction losses, for found and for prompted objects.

    Found objects are matched to the ground truth at minimal cost (Carion et al., DETR, ECCV 2020),
    every stage anew. The quality target is the detached IoU of the thresholded mask; the
    public model instead regresses a soft Dice value and lets its gradient into the masks.

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
        self, stages: Sequence[StageOutput], targets: Sequence[Targets], wanted: frozenset[str]
    ) -> dict[str, Tensor]:
        """Raw losses of all stages.

        Args:
            stages: Predictions, the last one of the adapter.
            targets: One per clip.
            wanted: Which of ``'cls'``, ``'mask'``, ``'dice'`` and ``'iou'`` are computed.

        Returns:
            ``'d0.mask'``, ..., and ``'mask'`` for the last prediction -> scalar, float32.
        """
        device = stages[0].queries.device
        num_masks = average_over_ranks(sum(len(t.labels) for t in targets), device)
        size = stages[0].mask_logits.shape[-2:]
        targets = [replace(t, compared=self.sampling.prepare(t.masks, size)) for t in targets]
        losses = {}
        with torch.autocast(device.type, enabled=False):
            for i, stage in enumerate(stages):
                prefix = '' if i == len(stages) - 1 else f'd{i}.'
                raw = self._stage_losses(_as_float(stage), targets, wanted, num_masks)
                losses.update({prefix + name: value for name, value in raw.items()})
        return losses

    def _stage_losses(
        self,
        stage: StageOutput,
        targets: Sequence[Targets],
        wanted: frozenset[str],
        num_masks: Tensor,
    ) -> dict[str, Tensor]:
        pairs = [self.assign(stage, i, target) for i, target in enumerate(targets)]
        losses = {}
        if 'cls' in wanted and stage.class_logits is not None:
            losses['cls'] = self._class_loss(stage, targets, pairs)
        mask_logits = torch.cat(
            [stage.mask_logits[i, pair.queries] for i, pair in enumerate(pairs)]
        )
        if wanted & {'mask', 'dice'}:
            compared = _gather([target.compared for target in targets], pairs)
            losses |= self._mask_losses(mask_logits, compared, wanted, num_masks)
        if 'iou' in wanted and stage.iou_logits is not None:
            iou_logits = torch.cat([stage.iou_logits[i, p.queries] for i, p in enumerate(pairs)])
            masks = _gather([target.masks for target in targets], pairs)
            errors = (iou_logits - mask_iou(mask_logits.detach(), masks)).square()
            losses['iou'] = errors.sum() / num_masks
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

    def _class_loss(
        self, stage: StageOutput, targets: Sequence[Targets], pairs: Sequence[Assignment]
    ) -> Tensor:
        """Cross-entropy over queries; rows of unknown class and padded prompts do not count."""
        assert stage.class_logits is not None, 'a stage without class logits cannot be classified'
        num_classes = stage.class_logits.shape[-1] - 1
        labels = torch.full(
            stage.class_logits.shape[:2], num_classes, device=stage.class_logits.device
        )
        if targets[0].queries is not None:
            labels.fill_(-1)
        for i, (target, pair) in enumerate(zip(targets, pairs, strict=True)):
            labels[i, pair.queries] = target.labels[pair.rows]
        weights = torch.where(labels == num_classes, self.no_object_weight, 1.0) * (labels >= 0)
        loss = F.cross_entropy(
            stage.class_logits.flatten(0, 1), labels.flatten(), ignore_index=-1, reduction='none'
        )
        return (loss * weights.flatten()).sum() / weights.sum().clamp(min=1e-6)

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


def _gather(masks: Sequence[Tensor | None], pairs: Sequence[Assignment]) -> Tensor:
    """The masks of all clips that were assigned, in order, (M, T, H, W)."""
    chosen = []
    for clip_masks, pair in zip(masks, pairs, strict=True):
        assert clip_masks is not None, 'the masks were not prepared'
        chosen.append(clip_masks[pair.rows])
    return torch.cat(chosen)


def _as_float(stage: StageOutput) -> StageOutput:
    """The same predictions in float32."""
    return StageOutput(
        queries=stage.queries.float(),
        mask_logits=stage.mask_logits.float(),
        class_logits=None if stage.class_logits is None else stage.class_logits.float(),
        iou_logits=None if stage.iou_logits is None else stage.iou_logits.float(),
    )
