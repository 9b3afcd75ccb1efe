"""What each sample adds to the scores of its task, so that any samples can be scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from numpy.typing import NDArray

from seg.evaluation.functional.bootstrap import Score, mean_score, panoptic_score
from seg.evaluation.metrics.common import annotated_labels
from seg.evaluation.metrics.davis_metric import DavisMetric
from seg.evaluation.metrics.interactive_metric import InteractiveMetric
from seg.evaluation.metrics.panoptic_metric import PanopticMetric
from seg.structures import ClipSample
from seg.utils.checks import UserError

Statistics = dict[str, NDArray[np.float64]]
"""Name of a score to what a sample adds to its sums, (D,)."""

_KINDS = {'click': 'mIoU@1', 'box': 'box_mIoU', 'mask': 'mask_mIoU', 'text': 'text_gIoU'}


def score_of(name: str) -> Score:
    """How a score is computed from sums of statistics; fractions, in [0, 1]."""
    return panoptic_score if name == 'PQ' else mean_score


def sample_statistics(metric: BaseMetric, sample: ClipSample) -> Statistics:
    """Let a metric judge one sample.

    Args:
        metric: A :class:`PanopticMetric` (``PQ``), :class:`InteractiveMetric` (``mIoU@1``,
            ``box_mIoU``, ``mask_mIoU`` and ``text_gIoU``) or :class:`DavisMetric` (``J&F``), with
            ``dataset_meta``.
        sample: Prediction and ground truth.

    Raises:
        UserError: If the metric is of another kind, or the sample does not fit it.
    """
    if not isinstance(metric, (PanopticMetric, InteractiveMetric, DavisMetric)):
        raise UserError(
            'metric: expected a PanopticMetric, InteractiveMetric or DavisMetric, got '
            f'{type(metric).__name__}'
        )
    metric.results.clear()
    metric.process(None, [sample.to_dict()])
    (record,) = metric.results
    metric.results.clear()
    if isinstance(metric, PanopticMetric):
        num_classes = len((metric.dataset_meta or {})['classes'])
        labels = annotated_labels([record['annotated']], num_classes)
        return {'PQ': _panoptic(record['stat'].counts, num_classes, labels)}
    if isinstance(metric, InteractiveMetric):
        return _prompted(record['rows'])
    return {'J&F': _followed(record[1])}


def _panoptic(
    counts: Mapping[int, Any], num_classes: int, labels: Sequence[int]
) -> NDArray[np.float64]:
    """IoU, TP, FP and FN of each class; nothing of those that the data set does not annotate."""
    values = np.zeros((num_classes, 4))
    for label in counts.keys() & set(labels):
        count = counts[label]
        values[label] = count.iou, count.tp, count.fp, count.fn
    return values.ravel()


def _prompted(rows: list[Any]) -> Statistics:
    """Sum of IoU and number of prompts of each kind; a click counts as it was answered first."""
    sums = {name: np.zeros(2) for name in _KINDS.values()}
    for row in rows:
        iou = row.click_ious[0] if row.click_ious else row.iou
        sums[_KINDS[row.kind]] += iou, 1
    return sums


def _followed(scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> NDArray[np.float64]:
    """Sum of J and F of objects, halved, and their number."""
    means = [(float(np.nanmean(j)) + float(np.nanmean(f))) / 2 for j, f in scores.values()]
    return np.array([sum(means), len(means)])
