"""Video panoptic quality, through the evaluator of MMEngine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from seg.evaluation.functional.pq import PQStat
from seg.evaluation.functional.vpq import WINDOWS, check_windows, vpq_stats, vpq_summary
from seg.evaluation.metrics.clip_metric import ClipMetric, read_panoptic_clip
from seg.evaluation.metrics.common import annotated_labels, percent, require
from seg.registry import METRICS

_GROUPS = {'': 'All', '_th': 'Things', '_st': 'Stuff'}


class _Clip(NamedTuple):
    """What is kept of a clip."""

    stats: dict[int, PQStat]
    annotated: Sequence[int] | None


@METRICS.register_module()
class VpqMetric(ClipMetric):
    """VPQ of ``pred_panoptic`` against ``gt_segments``, clips at original resolution.

    A segment has to keep its id over the frames; see
    :mod:`seg.evaluation.functional.vpq`. Frames without annotations are left out.

    Reports ``VPQ``, ``VPQ_th`` and ``VPQ_st``, the means over the windows, and ``VPQ@k`` of each
    window, in percent; NaN for a group of which no class occurs. Classes are averaged over as in
    :class:`PanopticMetric`.

    Args:
        windows: Frames k of the windows.
        prefix: See ``BaseMetric``.
    """

    default_prefix = 'vpq'

    def __init__(self, windows: Sequence[int] = WINDOWS, prefix: str | None = None) -> None:
        super().__init__(prefix)
        check_windows(windows)
        self.windows = tuple(windows)

    def record(self, sample: Mapping[str, Any], where: str) -> _Clip:
        """Counts of the windows of one clip, and which classes it annotates."""
        clip = read_panoptic_clip(sample, where)
        stats = vpq_stats(
            *clip,
            windows=self.windows,
            categories=range(len(require(self.dataset_meta, 'classes', 'dataset_meta'))),
            where=where,
        )
        return _Clip(stats, sample.get('annotated_classes'))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add the counts of all clips up."""
        total = {size: PQStat() for size in self.windows}
        for clip in results:
            for size, stat in clip.stats.items():
                total[size] += stat
        num_things = require(self.dataset_meta, 'num_things', 'dataset_meta')
        num_classes = len(require(self.dataset_meta, 'classes', 'dataset_meta'))
        labels = annotated_labels((clip.annotated for clip in results), num_classes)
        summary = vpq_summary(total, {label: label < num_things for label in labels})
        scores = {f'VPQ{end}': percent(summary[group]['vpq']) for end, group in _GROUPS.items()}
        return scores | {f'VPQ@{k}': percent(summary['All'][str(k)]) for k in self.windows}
