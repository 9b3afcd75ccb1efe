"""Training of promptable models: prompts against the masks of the segments they name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.losses.dense_mask_losses import DenseMaskLoss
from seg.models.losses.loss_balancing import LossBalancer
from seg.registry import MODELS
from seg.structures import ClipSample, Prompts
from seg.structures.prompted_masks import (
    RANKINGS,
    Candidates,
    PromptedMasks,
    Ranking,
    usable_candidates,
)
from seg.utils.checks import UserError, unknown_name_message


class MaskTargets(NamedTuple):
    """What the masks of N prompts should be.

    Attributes:
        masks: Share of each cell that is covered, (N, h, w), in [0, 1].
        weights: Share of each cell that counts, (N, h, w), in [0, 1].
    """

    masks: Tensor
    weights: Tensor


class PromptLosses(NamedTuple):
    """Losses of N prompts, one each.

    Attributes:
        seg: Weighted sum of the mask losses of the mask that counts, (N,).
        iou: Squared error of the predicted quality, mean over the candidates, (N,).
        parts: Mask losses before weighting, by name, (N,) each.
    """

    seg: Tensor
    iou: Tensor
    parts: dict[str, Tensor]


@MODELS.register_module()
class PromptCriterion(nn.Module):
    """Mask losses and the error of the predicted quality, mean over all prompts of a batch.

    Where a prompt has several candidates, only the one with the smallest loss is trained, and the
    predicted quality of all. Everything is computed on the decoder's grid, against the share of
    each cell that the segment covers, in single precision. Padding and crowds do not count.

    Source: Kirillov et al., "Segment Anything", ICCV 2023, appendix A, "Losses" and "Making the
    model ambiguity-aware".

    Args:
        mask_losses: Configs of :class:`~seg.models.losses.DenseMaskLoss`; by default focal and Dice
            at 20 : 1, as SAM.
        iou_weight: Weight of the error of the predicted quality; 0 for none.
        ranking: Which candidates count for which prompts.
        ignore_uncovered: Whether pixels that belong to no segment are ignored rather than
            background, for data that label everything they know.
        balancer: Config of a :class:`~seg.models.losses.LossBalancer` that weighs the mask losses
            and the error of the predicted quality; fixed weights by default.
    """

    def __init__(
        self,
        mask_losses: Sequence[dict[str, Any]] | None = None,
        iou_weight: float = 1.0,
        ranking: Ranking = 'auto',
        ignore_uncovered: bool = False,
        balancer: dict[str, Any] | None = None,
    ) -> None:
        super().__init__()
        configs = mask_losses or (dict(type='MaskFocalLoss'), dict(type='MaskDiceLoss'))
        self.mask_losses: list[DenseMaskLoss] = [MODELS.build(config) for config in configs]
        names = [loss.name for loss in self.mask_losses]
        if len(set(names)) < len(names):
            raise UserError(f'criterion.mask_losses: expected each kind once, got {names}')
        if ranking not in RANKINGS:
            raise UserError(unknown_name_message('criterion.ranking', ranking, RANKINGS))
        if iou_weight < 0:
            raise UserError(f'criterion.iou_weight: expected at least 0, got {iou_weight}')
        self.iou_weight = iou_weight
        self.ranking: Ranking = ranking
        self.ignore_uncovered = ignore_uncovered
        self.balancer: LossBalancer | None = None
        if balancer is not None:
            self.balancer = MODELS.build(balancer)
            self.balancer.bind([*names, *(['iou'] if iou_weight else [])])

    def forward(
        self,
        outputs: Sequence[PromptedMasks],
        samples: Sequence[ClipSample],
        candidates: Candidates,
    ) -> dict[str, Tensor]:
        """Losses ``loss_seg`` and ``loss_iou``, and the parts of the former.

        Args:
            outputs: One per image, N_i prompts each, at least one in all.
            samples: Their ground truth, at the size of the padded canvas, and prompts.
            candidates: Which masks ``outputs`` hold.
        """
        device = outputs[0].mask_logits.device.type
        with torch.autocast(device, enabled=False):
            found = [
                self._of_sample(output, sample, candidates)
                for output, sample in zip(outputs, samples, strict=True)
                if len(output.mask_logits)
            ]
        losses = {'loss_seg': torch.cat([losses.seg for losses in found]).mean()}
        if self.iou_weight:
            iou = torch.cat([losses.iou for losses in found]).mean()
            losses['loss_iou'] = self.iou_weight * iou
        parts = {
            loss.name: torch.cat([losses.parts[loss.name] for losses in found]).mean()
            for loss in self.mask_losses
        }
        if self.balancer is not None and self.training:
            losses |= self._balanced(parts, losses, self.balancer)
        return losses | {f'seg_{name}': value.detach() for name, value in parts.items()}

    def _balanced(
        self, parts: dict[str, Tensor], losses: dict[str, Tensor], balancer: LossBalancer
    ) -> dict[str, Tensor]:
        """The two losses from balanced parts, and the weights to watch."""
        weighted = {loss.name: loss.weight * parts[loss.name] for loss in self.mask_losses}
        if 'loss_iou' in losses:
            weighted['iou'] = losses['loss_iou']
        weights = dict(zip(balancer.names, balancer.weights(), strict=True))
        balanced = balancer(weighted)
        found = {f'weight_{name}': weight.detach().clone() for name, weight in weights.items()}
        if 'loss_iou' in losses:
            found['loss_iou'] = balanced.pop('iou')
        return found | {'loss_seg': torch.stack(list(balanced.values())).sum()}

    def _of_sample(
        self, output: PromptedMasks, sample: ClipSample, candidates: Candidates
    ) -> PromptLosses:
        size = (output.mask_logits.shape[-2], output.mask_logits.shape[-1])
        return self.of_prompts(output, self.targets_of(sample, size), sample.prompts, candidates)

    def targets_of(self, sample: ClipSample, size: tuple[int, int]) -> MaskTargets:
        """What the masks of a sample's prompts should be on a grid (h, w) over the canvas."""
        segments = sample.gt_segments
        picture = torch.zeros_like(segments.masks[:1, 0])
        picture[..., : sample.img_shape[0], : sample.img_shape[1]] = True
        targets = self._targets(segments, sample.prompt_targets, picture)
        return MaskTargets(*(F.adaptive_avg_pool2d(maps, size) for maps in targets))

    @torch.no_grad()
    def of_original(
        self, output: PromptedMasks, sample: ClipSample, canvas: int
    ) -> dict[str, Tensor]:
        """``loss_seg`` and ``loss_iou`` per prompt, (N,), against masks of the original size.

        Args:
            output: All candidates.
            sample: Its ground truth has the picture's original size.
            canvas: Side of the padded canvas, pixels.
        """
        segments, size = sample.gt_segments, output.mask_logits.shape[-2:]
        picture = torch.ones_like(segments.masks[:1, 0])
        height, width = (
            max(1, round(side * low / canvas))
            for side, low in zip(sample.img_shape, size, strict=True)
        )
        padding = (0, size[1] - width, 0, size[0] - height)
        small = MaskTargets(
            *(
                F.pad(F.adaptive_avg_pool2d(maps, (height, width)), padding)
                for maps in self._targets(segments, sample.prompt_targets, picture)
            )
        )
        losses = self.of_prompts(output, small, sample.prompts, 'all')
        return {'loss_seg': losses.seg, 'loss_iou': self.iou_weight * losses.iou}

    def _targets(self, segments: Any, rows: Tensor, picture: Tensor) -> MaskTargets:
        """Masks and weights of prompts at the size of the ground truth, float32.

        Args:
            segments: Ground truth of N segments.
            rows: Segment of each prompt, (M,).
            picture: Where the picture is, (1, H, W), bool.
        """
        masks, rows = segments.masks[:, 0], rows.to(segments.masks.device)
        crowds = masks[segments.is_crowd].any(dim=0, keepdim=True)
        counted = picture & masks.any(dim=0) if self.ignore_uncovered else picture
        wanted = masks[rows]
        return MaskTargets(wanted.float(), (counted & (~crowds | wanted)).float())

    def of_prompts(
        self,
        output: PromptedMasks,
        targets: MaskTargets,
        prompts: Prompts,
        candidates: Candidates,
    ) -> PromptLosses:
        """Losses of each prompt.

        Args:
            output: M candidates per prompt.
            targets: On the grid of the candidates.
            prompts: The N rows.
            candidates: Which masks ``output`` holds.
        """
        logits = output.mask_logits.float()
        num, each = logits.shape[:2]
        masks, weights = (maps[:, None].expand(-1, each, -1, -1).flatten(0, 1) for maps in targets)
        parts = {
            loss.name: loss(logits.flatten(0, 1), masks, weights).view(num, each)
            for loss in self.mask_losses
        }
        total = sum(loss.weight * parts[loss.name] for loss in self.mask_losses)
        assert isinstance(total, Tensor), 'there is at least one mask loss'
        best = self._counting(total, prompts, candidates)
        iou = (output.iou_scores.float() - _actual_iou(logits, *targets)).square().mean(dim=1)
        picked = {name: values.gather(1, best)[:, 0] for name, values in parts.items()}
        return PromptLosses(total.gather(1, best)[:, 0], iou, picked)

    def _counting(self, losses: Tensor, prompts: Prompts, candidates: Candidates) -> Tensor:
        """The candidate that is trained for each prompt, (N, 1)."""
        losses = losses.detach()
        if candidates == 'all':
            usable = usable_candidates(prompts, self.ranking, losses.shape[1])
            losses = losses.masked_fill(~usable.to(losses.device), torch.inf)
        return losses.argmin(dim=1, keepdim=True)


@torch.no_grad()
def _actual_iou(mask_logits: Tensor, masks: Tensor, weights: Tensor) -> Tensor:
    """IoU of the thresholded candidates (N, M, h, w) with soft masks (N, h, w), (N, M)."""
    predicted = (mask_logits > 0).float() * weights[:, None]
    wanted = ((masks > 0.5).float() * weights)[:, None]
    overlap = torch.minimum(predicted, wanted).flatten(2).sum(dim=2)
    union = torch.maximum(predicted, wanted).flatten(2).sum(dim=2)
    return overlap / union.clamp(min=1e-6)
