"""Panoptic quality, equal to the official evaluation of COCO.

Kirillov et al., "Panoptic Segmentation", CVPR 2019, equation 1. A predicted and a true segment of
one class match when their IoU exceeds 0.5; PQ = sum of IoU over matches / (TP + FP / 2 + FN / 2).
Void pixels of the ground truth are left out of unions, crowd segments are never missed, and an
unmatched prediction that lies mostly in void or in a crowd of its class is no mistake.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from seg.structures.panoptic_ids import NUM_IDS
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
    check_maps(pred_map, gt_map, where)
    pred = segments_by_id(pred_segments, 'prediction', categories, where)
    truth = segments_by_id(gt_segments, 'ground truth', categories, where)
    table = overlap_table(gt_map, pred_map, list(truth), list(pred))
    check_listed(table, pred_map, list(pred), where)
    return count_matches(table, list(truth.values()), list(pred.values()))


def overlap_table(
    gt_map: np.ndarray, pred_map: np.ndarray, gt_ids: list[int], pred_ids: list[int]
) -> np.ndarray:
    """Count the pixels that segments share.

    Maps are nearly constant along rows, so pixels are first joined into runs, a hundredth as many.

    Args:
        gt_map: True segment ids, any shape.
        pred_map: Predicted ids, of the same shape.
        gt_ids: The G true segments.
        pred_ids: The P predicted ones.

    Returns:
        (G + 2, P + 2), int64. Row and column 0 are of ids that are not listed, 1 of void.
    """
    gt, pred, lengths = _runs(gt_map.reshape(-1), pred_map.reshape(-1))
    gt_rows, num_rows = _positions(gt, gt_ids)
    pred_columns, num_columns = _positions(pred, pred_ids)
    cells = gt_rows * num_columns + pred_columns
    table = np.bincount(cells, weights=lengths, minlength=num_rows * num_columns)
    return table.reshape(num_rows, num_columns).astype(np.int64)


def check_listed(table: np.ndarray, pred_map: np.ndarray, pred_ids: list[int], where: str) -> None:
    """Compare the map of a prediction with its list.

    Args:
        table: What :func:`overlap_table` gives.
        pred_map: The map.
        pred_ids: The list.
        where: How errors name the image.

    Raises:
        ValueError: If a segment is in one of them only.
    """
    if table[:, 0].any():
        unlisted = np.setdiff1d(pred_map, [VOID, *pred_ids]).tolist()
        raise UserError(
            f'{where}: segment ids {unlisted[:5]} are in the predicted map (PNG) and not in its '
            'list (JSON); list every segment, or paint its pixels 0 (void)'
        )
    areas = table[:, 2:].sum(axis=0)
    if not areas.all():
        undrawn = [i for i, area in zip(pred_ids, areas, strict=True) if not area]
        raise UserError(
            f'{where}: segment ids {undrawn[:5]} are in the predicted list (JSON) and not in '
            'its map (PNG); remove segments without pixels from the list'
        )


def count_matches(
    table: np.ndarray, truth: list[Mapping[str, Any]], pred: list[Mapping[str, Any]]
) -> PQStat:
    """Turn shared pixels into matches and mistakes.

    Args:
        table: What :func:`overlap_table` gives for these segments; each of ``pred`` has pixels.
        truth: True segments, see :func:`pq_stat`.
        pred: Predicted ones.
    """
    overlaps = _Overlaps(
        pairs=table[2:, 2:],
        in_void=table[1, 2:],
        gt_areas=table[2:].sum(axis=1),
        pred_areas=table[:, 2:].sum(axis=0),
    )
    return _tally(_matching_ious(overlaps, truth, pred), overlaps, truth, pred)


class _Overlaps(NamedTuple):
    """Pixels that segments share.

    Attributes:
        pairs: Of each true and each predicted segment, (G, P), int64.
        in_void: Of each predicted segment and the void of the ground truth, (P,), int64.
        gt_areas: Of each true segment, (G,), int64.
        pred_areas: Of each predicted segment, (P,), int64, at least 1.
    """

    pairs: np.ndarray
    in_void: np.ndarray
    gt_areas: np.ndarray
    pred_areas: np.ndarray


def _runs(gt: np.ndarray, pred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ids of both maps in runs where neither changes, and the runs' lengths; noise stays as is."""
    breaks = np.flatnonzero((gt[1:] != gt[:-1]) | (pred[1:] != pred[:-1])) + 1
    if 4 * breaks.size > gt.size:
        return gt, pred, np.ones(gt.size)
    starts = np.concatenate((np.zeros(min(gt.size, 1), breaks.dtype), breaks))
    return gt[starts], pred[starts], np.diff(starts, append=gt.size)


def _positions(ids: np.ndarray, listed: list[int]) -> tuple[np.ndarray, int]:
    """Where each id stands, 0 if it is not listed, 1 for void, 2..N + 1 as listed; and N + 2."""
    # Zeros cost nothing until they are touched, however large the largest id is.
    table = np.zeros(max(int(ids.max(initial=VOID)), *listed, VOID) + 1, dtype=np.int32)
    table[VOID] = 1
    table[listed] = np.arange(2, len(listed) + 2)
    return table[ids], len(listed) + 2


def _matching_ious(
    overlaps: _Overlaps, truth: list[Mapping[str, Any]], pred: list[Mapping[str, Any]]
) -> np.ndarray:
    """IoU of the pairs that match, 0 elsewhere, (G, P)."""
    gt_areas = [s.get('area', a) for s, a in zip(truth, overlaps.gt_areas.tolist(), strict=True)]
    unions = (
        np.array(gt_areas, dtype=np.float64)[:, None]
        + (overlaps.pred_areas - overlaps.in_void)[None]
        - overlaps.pairs
    )
    gt_categories = np.array([s['category_id'] for s in truth], dtype=np.int64)
    pred_categories = np.array([s['category_id'] for s in pred], dtype=np.int64)
    may_match = gt_categories[:, None] == pred_categories[None]
    may_match &= ~np.array([bool(s.get('iscrowd')) for s in truth], dtype=bool)[:, None]
    may_match &= overlaps.pairs > 0
    ious = np.divide(overlaps.pairs, unions, out=np.zeros_like(unions), where=may_match)
    return np.where(ious > 0.5, ious, 0.0)


def _tally(
    ious: np.ndarray,
    overlaps: _Overlaps,
    truth: list[Mapping[str, Any]],
    pred: list[Mapping[str, Any]],
) -> PQStat:
    """Turn matches into counts per category."""
    counts: dict[int, ClassCounts] = {}

    def count(category: int, one: ClassCounts) -> None:
        counts[category] = counts.get(category, ClassCounts()) + one

    crowds = {}
    for row, segment in enumerate(truth):
        matches = ious[row][ious[row] > 0].tolist()
        for iou in matches:
            count(segment['category_id'], ClassCounts(iou=iou, tp=1))
        if segment.get('iscrowd'):
            crowds[segment['category_id']] = row
        elif not matches:
            count(segment['category_id'], ClassCounts(fn=1))
    for column, segment in enumerate(pred):
        if ious[:, column].any():
            continue
        ignored = overlaps.in_void[column]
        if (crowd := crowds.get(segment['category_id'])) is not None:
            ignored = ignored + overlaps.pairs[crowd, column]
        if ignored / overlaps.pred_areas[column] <= 0.5:
            count(segment['category_id'], ClassCounts(fp=1))
    return PQStat(counts)


def check_maps(pred_map: np.ndarray, gt_map: np.ndarray, where: str) -> None:
    """Check what two maps of segment ids hold.

    Raises:
        TypeError: If they do not hold integers.
        ValueError: If they differ in size, or an id is out of range.
    """
    for name, ids in (('pred_map', pred_map), ('gt_map', gt_map)):
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f'{where}: {name}: expected integer segment ids, got {ids.dtype}')
        if ids.size and not 0 <= int(ids.min()) <= int(ids.max()) < NUM_IDS:
            raise UserError(
                f'{where}: {name}: expected segment ids in [0, {NUM_IDS}), '
                f'got {int(ids.min())} to {int(ids.max())}; number the segments anew'
            )
    if pred_map.shape != gt_map.shape:
        raise UserError(
            f'{where}: expected a prediction of the size of the ground truth {gt_map.shape}, '
            f'got {pred_map.shape}; predict at the original resolution'
        )


def segments_by_id(
    segments: Sequence[Mapping[str, Any]],
    source: str,
    categories: Container[int] | None,
    where: str,
) -> dict[int, Mapping[str, Any]]:
    """Segments by their ids, in their order.

    Args:
        segments: See :func:`pq_stat`.
        source: How errors name them.
        categories: Category ids that exist; any are accepted when left out.
        where: How errors name the image.

    Raises:
        ValueError: If an id is out of range or listed twice, or a category is unknown.
    """
    found: dict[int, Mapping[str, Any]] = {}
    for segment in segments:
        segment_id = _whole_id(segment['id'], source, where)
        if not VOID < segment_id < NUM_IDS:
            raise UserError(
                f'{where}: expected segment ids in [1, {NUM_IDS}) in the {source}, '
                f'got {segment_id}; 0 is void, and three bytes hold no more'
            )
        if segment_id in found:
            raise UserError(
                f'{where}: segment id {segment_id} is listed twice in the {source}; '
                'give every segment its own id'
            )
        if categories is not None and segment['category_id'] not in categories:
            raise UserError(
                f'{where}: segment {segment_id} of the {source} has the unknown category_id '
                f'{segment["category_id"]}; use the category ids of the ground truth file'
            )
        found[segment_id] = segment
    return found


def _whole_id(value: Any, source: str, where: str) -> int:
    try:
        return int(value)
    except (ValueError, TypeError):
        raise UserError(
            f'{where}: expected a whole number as id of every segment of the {source}, '
            f'got {value!r}; number the segments'
        ) from None
