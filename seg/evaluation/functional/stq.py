"""Segmentation and tracking quality.

Weber et al., "STEP: Segmenting and Tracking Every Pixel", NeurIPS 2021 (Datasets and Benchmarks),
section 4. STQ = sqrt(AQ * SQ): SQ is the mean IoU of the classes, whatever the identities; AQ says
how well ids follow things, whatever the classes:

    AQ = mean over true tracks g of  1 / |g| * sum over predicted tracks p of  TPA * IoU_id(p, g)

with TPA = |p & g| and IoU_id = TPA / |p | g|, in pixels of whole clips. As in the authors' code,
pixels of true crowds are no part of predicted tracks. It differs from theirs in one thing: void
pixels of a prediction are missed pixels and not a class of their own whose IoU is 0.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from seg.evaluation.functional.pq import check_listed, check_maps, overlap_table, segments_by_id


@dataclass(frozen=True)
class STQStat:
    """What was counted; adds up over clips.

    Attributes:
        confusion: Pixels of each true (row) and predicted (column) class, the last column for void,
            (K, K + 1), int64; void pixels of the ground truth are left out.
        association: Sum of the association quality of the true tracks.
        num_tracks: How many there are.
    """

    confusion: np.ndarray
    association: float
    num_tracks: int

    def __add__(self, other: STQStat) -> STQStat:
        return STQStat(
            self.confusion + other.confusion,
            self.association + other.association,
            self.num_tracks + other.num_tracks,
        )

    def summary(self) -> dict[str, float]:
        """``stq``, ``aq`` and ``sq`` in [0, 1]; NaN where there is no track or no class."""
        hits = np.diagonal(self.confusion).astype(np.float64)
        unions = self.confusion.sum(axis=1) + self.confusion[:, :-1].sum(axis=0) - hits
        occurs = unions > 0
        sq = float(np.mean(hits[occurs] / unions[occurs])) if occurs.any() else float('nan')
        aq = self.association / self.num_tracks if self.num_tracks else float('nan')
        return {'stq': float(np.sqrt(aq * sq)), 'aq': aq, 'sq': sq}


def stq_stat(
    pred_map: np.ndarray,
    pred_segments: Sequence[Mapping[str, Any]],
    gt_map: np.ndarray,
    gt_segments: Sequence[Mapping[str, Any]],
    *,
    num_classes: int,
    things: Container[int],
    where: str = 'clip',
) -> STQStat:
    """Count pixels of one clip.

    Args:
        pred_map: Predicted segment ids, (T, H, W), any integer type; 0 is void.
        pred_segments: One dict per predicted segment: ``id`` and ``category_id``.
        gt_map: True segment ids, of the same shape.
        gt_segments: One dict per true segment: ``id``, ``category_id`` and ``iscrowd``.
        num_classes: K; categories are 0..K - 1.
        things: Those that are things.
        where: How errors name the clip.

    Raises:
        TypeError: If a map does not hold integers.
        ValueError: See :func:`~seg.evaluation.functional.pq.pq_stat`.
    """
    check_maps(pred_map, gt_map, where)
    categories = range(num_classes)
    pred = segments_by_id(pred_segments, 'prediction', categories, where)
    truth = segments_by_id(gt_segments, 'ground truth', categories, where)
    table = overlap_table(gt_map, pred_map, list(truth), list(pred))
    check_listed(table, pred_map, list(pred), where)
    gt_classes = np.array([s['category_id'] for s in truth.values()], dtype=np.int64)
    pred_classes = np.array([s['category_id'] for s in pred.values()], dtype=np.int64)
    confusion = np.zeros((num_classes, num_classes + 1), dtype=np.int64)
    columns = np.concatenate([[num_classes], pred_classes])  # void, then the segments
    np.add.at(confusion, (gt_classes[:, None], columns[None]), table[2:, 1:])
    is_thing = np.array([c in things for c in gt_classes.tolist()], dtype=bool)
    is_crowd = np.array([bool(s.get('iscrowd')) for s in truth.values()], dtype=bool)
    is_track = np.array([c in things for c in pred_classes.tolist()], dtype=bool)
    counted = np.concatenate([[True, True], ~(is_thing & is_crowd)])
    qualities = association_qualities(
        table[2:, 2:][is_thing & ~is_crowd][:, is_track],
        table[2:][is_thing & ~is_crowd].sum(axis=1),
        table[counted][:, 2:][:, is_track].sum(axis=0),
    )
    return STQStat(confusion, float(qualities.sum()), len(qualities))


def association_qualities(
    shared: np.ndarray, gt_sizes: np.ndarray, pred_sizes: np.ndarray
) -> np.ndarray:
    """Association quality of each true track that has pixels.

    Args:
        shared: Pixels of each true and predicted track, (G, P).
        gt_sizes: Pixels of each true track, (G,).
        pred_sizes: Pixels of each predicted one, (P,).

    Returns:
        In [0, 1], for the tracks with pixels, float64.
    """
    seen = gt_sizes > 0
    shared, gt_sizes = shared[seen].astype(np.float64), gt_sizes[seen]
    unions = gt_sizes[:, None] + pred_sizes[None] - shared
    ious = np.divide(shared, unions, out=np.zeros_like(shared), where=unions > 0)
    return np.asarray((shared * ious).sum(axis=1) / gt_sizes)
