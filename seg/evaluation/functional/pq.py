"""Panoptic quality, equal to the official evaluation of COCO.

Kirillov et al., "Panoptic Segmentation", CVPR 2019, equation 1. A predicted and a true segment of
one class match when their IoU exceeds 0.5; PQ = sum of IoU over matches / (TP + FP / 2 + FN / 2).
Void pixels of the ground truth are left out of unions, crowd segments are never missed, and an
unmatched prediction that lies mostly in void or in a crowd of its class is no mistake.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from seg.utils.checks import UserError

VOID = 0
"""Id of pixels that belong to no segment."""


@dataclass(frozen=True)
class ClassCounts:
    """What was counted for one class.

    Attributes:
        iou: Sum of IoU over matched pairs.
        tp: Matched pairs.
        fp: Predicted segments without a match.
        fn: True segments without a match.
    """

    iou: float = 0.0
    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: ClassCounts) -> ClassCounts:
        return ClassCounts(
            self.iou + other.iou, self.tp + other.tp, self.fp + other.fp, self.fn + other.fn
        )

    @property
    def occurs(self) -> bool:
        """Whether the class was seen at all, in the ground truth or the prediction."""
        return self.tp + self.fp + self.fn > 0

    @property
    def sq(self) -> float:
        """Segmentation quality, the mean IoU of matches, in [0, 1]; 0 without a match."""
        return self.iou / self.tp if self.tp else 0.0

    @property
    def rq(self) -> float:
        """Recognition quality, the F1 score, in [0, 1]; 0 when the class does not occur."""
        return self.tp / (self.tp + 0.5 * self.fp + 0.5 * self.fn) if self.occurs else 0.0

    @property
    def pq(self) -> float:
        """Panoptic quality, ``sq * rq``, in [0, 1]."""
        return self.iou / (self.tp + 0.5 * self.fp + 0.5 * self.fn) if self.occurs else 0.0

    def scores(self) -> dict[str, float]:
        """PQ, SQ and RQ by their lower-case names."""
        return {'pq': self.pq, 'sq': self.sq, 'rq': self.rq}


@dataclass(frozen=True)
class PQStat:
    """Counts per class that add up over images: ``pq_stat(...) + pq_stat(...)``.

    Attributes:
        counts: Category id to its counts.
    """

    counts: Mapping[int, ClassCounts] = field(default_factory=dict)

    def __add__(self, other: PQStat) -> PQStat:
        merged = dict(self.counts)
        for category, counts in other.counts.items():
            merged[category] = merged.get(category, ClassCounts()) + counts
        return PQStat(merged)

    def summary(self, categories: Mapping[int, bool]) -> dict[str, Any]:
        """Average over the classes that occur.

        Args:
            categories: Category id to whether it is a thing.

        Returns:
            ``All``, ``Things`` and ``Stuff``, each ``{'pq', 'sq', 'rq', 'n'}`` with ``n`` the
            number of classes that occur (NaN scores where none does), and ``per_class``, category
            id to ``{'pq', 'sq', 'rq'}`` of the classes that occur. Fractions in [0, 1].
        """
        seen = {c: counts for c in categories if (counts := self._of(c)).occurs}
        return {
            'All': _mean_scores(list(seen.values())),
            'Things': _mean_scores([counts for c, counts in seen.items() if categories[c]]),
            'Stuff': _mean_scores([counts for c, counts in seen.items() if not categories[c]]),
            'per_class': {c: counts.scores() for c, counts in seen.items()},
        }

    def _of(self, category: int) -> ClassCounts:
        return self.counts.get(category, ClassCounts())


def _mean_scores(counts: list[ClassCounts]) -> dict[str, float]:
    num = len(counts)
    names = ('pq', 'sq', 'rq')
    if num == 0:
        return {**dict.fromkeys(names, float('nan')), 'n': 0}
    return {**{name: sum(getattr(c, name) for c in counts) / num for name in names}, 'n': num}


def pq_stat(
    pred_map: np.ndarray,
    pred_segments: Sequence[Mapping[str, Any]],
    gt_map: np.ndarray,
    gt_segments: Sequence[Mapping[str, Any]],
    *,
    categories: Container[int] | None = None,
    where: str = 'image',
) -> PQStat:
    """Count matches, false positives and false negatives of one image or clip.

    Args:
        pred_map: Predicted segment ids, (H, W) or (T, H, W), any integer type; 0 is void.
        pred_segments: One dict per predicted segment: ``id`` and ``category_id``.
        gt_map: True segment ids, of the same shape.
        gt_segments: One dict per true segment: ``id``, ``category_id`` and, when it is not an
            ordinary segment, ``iscrowd``; ``area`` in pixels overrides the count of its pixels,
            as it does in the official evaluation.
        categories: Category ids that exist; any are accepted when left out.
        where: How errors name the image.

    Raises:
        TypeError: If a map does not hold integers.
        ValueError: If the maps differ in size, a segment of the prediction is in its map and not
            in its list or the other way round, an id is listed twice, or a category is unknown.
    """
    _check_maps(pred_map, gt_map, where)
    pred = _by_id(pred_segments, 'prediction', categories, where)
    truth = _by_id(gt_segments, 'ground truth', categories, where)
    overlaps = _count_overlaps(gt_map, pred_map)
    pred_areas = _sum_by(overlaps, 1)
    _check_prediction_ids(set(pred_areas), set(pred), where)
    gt_areas = _sum_by(overlaps, 0)
    gt_areas.update({i: s['area'] for i, s in truth.items() if 'area' in s})
    ious = _match(overlaps, pred, truth, pred_areas, gt_areas)
    return _tally(ious, overlaps, pred, truth, pred_areas)


def _match(
    overlaps: dict[tuple[int, int], int],
    pred: dict[int, Mapping[str, Any]],
    truth: dict[int, Mapping[str, Any]],
    pred_areas: dict[int, int],
    gt_areas: dict[int, int],
) -> dict[tuple[int, int], float]:
    """IoU of every pair (true id, predicted id) that matches."""
    ious = {}
    for (gt_id, pred_id), intersection in overlaps.items():
        if gt_id not in truth or pred_id not in pred or truth[gt_id].get('iscrowd'):
            continue
        if truth[gt_id]['category_id'] != pred[pred_id]['category_id']:
            continue
        in_void = overlaps.get((VOID, pred_id), 0)
        iou = intersection / (pred_areas[pred_id] + gt_areas[gt_id] - intersection - in_void)
        if iou > 0.5:
            ious[gt_id, pred_id] = iou
    return ious


def _tally(
    ious: dict[tuple[int, int], float],
    overlaps: dict[tuple[int, int], int],
    pred: dict[int, Mapping[str, Any]],
    truth: dict[int, Mapping[str, Any]],
    pred_areas: dict[int, int],
) -> PQStat:
    """Turn matches into counts per category."""
    counts: dict[int, ClassCounts] = {}

    def count(category: int, **more: Any) -> None:
        counts[category] = counts.get(category, ClassCounts()) + ClassCounts(**more)

    for (gt_id, _), iou in ious.items():
        count(truth[gt_id]['category_id'], iou=iou, tp=1)
    found, explained = {gt_id for gt_id, _ in ious}, {pred_id for _, pred_id in ious}
    crowds = {s['category_id']: i for i, s in truth.items() if s.get('iscrowd')}
    for gt_id, segment in truth.items():
        if gt_id not in found and not segment.get('iscrowd'):
            count(segment['category_id'], fn=1)
    for pred_id, segment in pred.items():
        if pred_id in explained:
            continue
        ignored = overlaps.get((VOID, pred_id), 0)
        if (crowd := crowds.get(segment['category_id'])) is not None:
            ignored += overlaps.get((crowd, pred_id), 0)
        if ignored / pred_areas[pred_id] <= 0.5:
            count(segment['category_id'], fp=1)
    return PQStat(counts)


def _count_overlaps(gt_map: np.ndarray, pred_map: np.ndarray) -> dict[tuple[int, int], int]:
    """Pixels that each pair (true id, predicted id) shares.

    Maps are nearly constant along rows, so pixels are first joined into runs: only the runs,
    a hundredth of the pixels, are sorted.
    """
    gt, pred = gt_map.reshape(-1), pred_map.reshape(-1)
    if gt.size == 0:
        return {}
    breaks = np.flatnonzero((gt[1:] != gt[:-1]) | (pred[1:] != pred[:-1])) + 1
    starts = np.concatenate(([0], breaks))
    lengths = np.diff(starts, append=gt.size)
    keys = (gt[starts].astype(np.int64) << 32) | pred[starts].astype(np.int64)
    pairs, inverse = np.unique(keys, return_inverse=True)
    pixels = np.bincount(inverse, weights=lengths)
    return {
        (pair >> 32, pair & 0xFFFFFFFF): int(count)
        for pair, count in zip(pairs.tolist(), pixels.tolist(), strict=True)
    }


def _sum_by(overlaps: dict[tuple[int, int], int], axis: int) -> dict[int, int]:
    areas: dict[int, int] = {}
    for pair, pixels in overlaps.items():
        areas[pair[axis]] = areas.get(pair[axis], 0) + pixels
    return areas


def _check_maps(pred_map: np.ndarray, gt_map: np.ndarray, where: str) -> None:
    for name, ids in (('pred_map', pred_map), ('gt_map', gt_map)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f'{where}: {name}: expected integer segment ids, got {ids.dtype}')
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < 1 << 31:
            raise UserError(f'{where}: {name}: expected segment ids in [0, 2^31)')
    if pred_map.shape != gt_map.shape:
        raise UserError(
            f'{where}: expected a prediction of the size of the ground truth {gt_map.shape}, '
            f'got {pred_map.shape}; predict at the original resolution'
        )


def _by_id(
    segments: Sequence[Mapping[str, Any]],
    source: str,
    categories: Container[int] | None,
    where: str,
) -> dict[int, Mapping[str, Any]]:
    found: dict[int, Mapping[str, Any]] = {}
    for segment in segments:
        if segment['id'] in found:
            raise UserError(
                f'{where}: segment id {segment["id"]} is listed twice in the {source}; '
                'give every segment its own id'
            )
        if categories is not None and segment['category_id'] not in categories:
            raise UserError(
                f'{where}: segment {segment["id"]} of the {source} has the unknown category_id '
                f'{segment["category_id"]}; use the category ids of the ground truth file'
            )
        found[segment['id']] = segment
    return found


def _check_prediction_ids(drawn: set[int], listed: set[int], where: str) -> None:
    if unlisted := sorted(drawn - listed - {VOID}):
        raise UserError(
            f'{where}: segment ids {unlisted[:5]} are in the predicted map (PNG) and not in its '
            'list (JSON); list every segment, or paint its pixels 0 (void)'
        )
    if undrawn := sorted(listed - drawn):
        raise UserError(
            f'{where}: segment ids {undrawn[:5]} are in the predicted list (JSON) and not in '
            'its map (PNG); remove segments without pixels from the list'
        )
