"""Segmentation and tracking quality, through the evaluator of MMEngine."""

from __future__ import annotations

from collections.abc import Mapping
from functools import reduce
from operator import add
from typing import Any

from seg.evaluation.functional.stq import STQStat, stq_stat
from seg.evaluation.metrics.clip_metric import ClipMetric, read_panoptic_clip
from seg.evaluation.metrics.common import percent, require
from seg.registry import METRICS


@METRICS.register_module()
class StqMetric(ClipMetric):
    """STQ of ``pred_panoptic`` against ``gt_segments``, clips at original resolution.

    See :mod:`seg.evaluation.functional.stq`. Frames without annotations are left out. Reports
    ``STQ``, ``AQ`` (association of things) and ``SQ`` (mean IoU of classes), in percent; NaN where
    there is no track.

    Args:
        prefix: See ``BaseMetric``.
    """

    default_prefix = 'stq'

    def record(self, sample: Mapping[str, Any], where: str) -> STQStat:
        """Counts of one clip."""
        return stq_stat(
            *read_panoptic_clip(sample, where),
            num_classes=len(require(self.dataset_meta, 'classes', 'dataset_meta')),
            things=range(require(self.dataset_meta, 'num_things', 'dataset_meta')),
            where=where,
        )

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add the counts of all clips up."""
        summary = reduce(add, results).summary()
        return {name.upper(): percent(value) for name, value in summary.items()}
