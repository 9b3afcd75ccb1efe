"""How well prompted segments are covered, per object and over the whole data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from seg.evaluation.functional.boundary import boundary_region
from seg.evaluation.metrics.common import image_name, percent, require, to_array
from seg.registry import METRICS
from seg.utils.checks import UserError

_LOSSES = ('loss_seg', 'loss_iou')


@dataclass(frozen=True)
class PromptScore:
    """Counts of pixels of one prompt.

    Attributes:
        overlap: Pixels of both masks.
        predicted: Pixels of the prediction.
        wanted: Pixels of the ground truth.
        counted: Pixels that count at all.
        boundary_overlap: Pixels of both boundary regions.
        boundary_union: Pixels of either boundary region.
        losses: Losses that the model noted, by name.
    """

    overlap: int
    predicted: int
    wanted: int
    counted: int
    boundary_overlap: int
    boundary_union: int
    losses: dict[str, float] = field(default_factory=dict)

    @property
    def union(self) -> int:
        """Pixels of either mask."""
        return self.predicted + self.wanted - self.overlap

    @property
    def correct(self) -> int:
        """Pixels on which the masks agree."""
        return self.counted - self.union + self.overlap


@METRICS.register_module()
class PromptSegMetric(BaseMetric):
    """Agreement of the best mask of every prompt with its segment, at original resolution.

    Reads ``gt_segments``, ``prompt_targets`` and ``pred_prompted``: ``masks`` (N, M, T, H, W), best
    first, of which the first counts, and the losses of the prompts where the model notes them.

    Reports in percent, averaged over prompts, ``IoU``, ``Dice``, ``BIoU`` (boundary IoU) and
    ``PixelAcc``, and over the summed pixels of the whole data set ``IoU_data``, ``Dice_data``,
    ``BIoU_data`` and ``PixelAcc_data``; and ``loss_seg`` and ``loss_iou``, averaged over prompts.

    Args:
        boundary_share: Width of boundary regions as a share of the image's diagonal.
        ignore_uncovered: Whether pixels that belong to no segment are left out, for data that label
            everything they know.
        collect_device: See ``BaseMetric``.
        prefix: See ``BaseMetric``.
        collect_dir: See ``BaseMetric``.
    """

    default_prefix = 'prompt'

    def __init__(
        self,
        boundary_share: float = 0.02,
        ignore_uncovered: bool = False,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        if not 0 < boundary_share < 1:
            raise UserError(f'boundary_share: expected a share in (0, 1), got {boundary_share}')
        self.boundary_share = boundary_share
        self.ignore_uncovered = ignore_uncovered

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure each image; keeps exactly one record per image.

        Raises:
            UserError: If something is missing or has the wrong shape.
        """
        for sample in data_samples:
            scores = self._measure(sample)
            self.results.append({'img_id': sample['img_id'], 'scores': scores})

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average over the prompts of all images.

        Raises:
            UserError: If there was no prompt at all.
        """
        scores: list[PromptScore] = [score for record in results for score in record['scores']]
        if not scores:
            raise UserError(
                f'PromptSegMetric: expected prompts, got none in {len(results)} images; check the '
                'annotations, and min_area of the step that makes prompts'
            )
        overlap = np.array([score.overlap for score in scores], dtype=np.float64)
        union = np.array([score.union for score in scores], dtype=np.float64)
        edge = np.array([score.boundary_overlap for score in scores], dtype=np.float64)
        edges = np.array([score.boundary_union for score in scores], dtype=np.float64)
        correct = np.array([score.correct for score in scores], dtype=np.float64)
        counted = np.array([score.counted for score in scores], dtype=np.float64)
        metrics = {
            'IoU': percent(_ratio(overlap, union).mean()),
            'Dice': percent(_ratio(2 * overlap, union + overlap).mean()),
            'BIoU': percent(_ratio(edge, edges).mean()),
            'PixelAcc': percent(_ratio(correct, counted).mean()),
            'IoU_data': percent(_ratio(overlap.sum(), union.sum())),
            'Dice_data': percent(_ratio(2 * overlap.sum(), union.sum() + overlap.sum())),
            'BIoU_data': percent(_ratio(edge.sum(), edges.sum())),
            'PixelAcc_data': percent(_ratio(correct.sum(), counted.sum())),
        }
        for name in _LOSSES:
            values = [score.losses[name] for score in scores if name in score.losses]
            if values:
                metrics[name] = float(np.mean(values))
        return metrics

    def _measure(self, sample: Mapping[str, Any]) -> list[PromptScore]:
        where = image_name(sample)
        segments = require(sample, 'gt_segments', where)
        rows = to_array(require(sample, 'prompt_targets', where)).tolist()
        prediction = require(sample, 'pred_prompted', where)
        masks = require(prediction, 'masks', where)
        truth = to_array(require(segments, 'masks', where))
        if masks.ndim != 5 or len(masks) != len(rows) or not masks.shape[1]:
            raise UserError(
                f'{where}: pred_prompted.masks: expected shape (N, M, T, H, W) with N = '
                f'{len(rows)} prompts and M >= 1, got {tuple(masks.shape)}'
            )
        if tuple(masks.shape[2:]) != truth.shape[1:]:
            raise UserError(
                f'{where}: pred_prompted.masks: expected the original size {truth.shape[1:]} '
                f'(T, H, W), got {tuple(masks.shape[2:])}; resize predictions to ori_shape'
            )
        crowds = truth[to_array(require(segments, 'is_crowd', where))].any(axis=0)
        ignored = crowds | ~truth.any(axis=0) if self.ignore_uncovered else crowds
        losses = {name: to_array(prediction[name]) for name in _LOSSES if name in prediction}
        return [
            self._compare(
                to_array(masks[i, 0]),
                truth[row],
                ignored,
                {name: float(values[i]) for name, values in losses.items()},
            )
            for i, row in enumerate(rows)
        ]

    def _compare(
        self, mask: np.ndarray, target: np.ndarray, ignored: np.ndarray, losses: dict[str, float]
    ) -> PromptScore:
        counted = ~ignored | target
        mask = mask & counted
        edges = [
            (boundary_region(a, self.boundary_share), boundary_region(b, self.boundary_share))
            for a, b in zip(mask, target, strict=True)
        ]
        return PromptScore(
            overlap=_count(mask & target),
            predicted=_count(mask),
            wanted=_count(target),
            counted=_count(counted),
            boundary_overlap=sum(_count(a & b) for a, b in edges),
            boundary_union=sum(_count(a | b) for a, b in edges),
            losses=losses,
        )


def _count(mask: np.ndarray) -> int:
    return int(np.count_nonzero(mask))


def _ratio(part: Any, whole: Any) -> Any:
    """Shares; 1 where there is nothing to share, for then both masks are empty."""
    return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)
