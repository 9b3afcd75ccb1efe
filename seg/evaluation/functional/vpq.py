"""Video panoptic quality.

Kim et al., "Video Panoptic Segmentation", CVPR 2020, section 4. Segments are tubes: the pixels of
one id in k consecutive frames. For every k, true and predicted tubes of all windows of k frames
are matched as segments of images are (IoU above 0.5), counts are added up per class, and VPQ^k is
the panoptic quality that they give; VPQ is the mean over k. As in the evaluation of VIPSeg (Miao
et al., CVPR 2022), k is 1, 2, 4 and 6 and windows begin at every frame; a clip shorter than k is
one window.
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np

from seg.evaluation.functional.pq import (
    PQStat,
    check_listed,
    check_maps,
    count_matches,
    overlap_table,
    segments_by_id,
)
from seg.utils.checks import UserError

WINDOWS = (1, 2, 4, 6)
"""Frames of a window in the evaluation of VIPSeg."""


def vpq_stats(
    pred_map: np.ndarray,
    pred_segments: Sequence[Mapping[str, Any]],
    gt_map: np.ndarray,
    gt_segments: Sequence[Mapping[str, Any]],
    *,
    windows: Sequence[int] = WINDOWS,
    categories: Container[int] | None = None,
    where: str = 'clip',
) -> dict[int, PQStat]:
    """Count matching tubes of one clip.

    Pixels are counted once per frame, however many windows a frame belongs to.

    Args:
        pred_map: Predicted segment ids, (T, H, W), any integer type; 0 is void.
        pred_segments: One dict per predicted segment: ``id`` and ``category_id``.
        gt_map: True segment ids, of the same shape.
        gt_segments: One dict per true segment: ``id``, ``category_id`` and ``iscrowd``.
        windows: Frames k of a window, each >= 1.
        categories: Category ids that exist; any are accepted when left out.
        where: How errors name the clip.

    Returns:
        k to the counts of all windows of k frames.

    Raises:
        TypeError: If a map does not hold integers.
        ValueError: See :func:`~seg.evaluation.functional.pq.pq_stat`; if a window has no frame.
    """
    check_windows(windows)
    check_maps(pred_map, gt_map, where)
    pred = segments_by_id(pred_segments, 'prediction', categories, where)
    truth = segments_by_id(gt_segments, 'ground truth', categories, where)
    tables = [
        overlap_table(*frames, list(truth), list(pred))
        for frames in zip(gt_map, pred_map, strict=True)
    ]
    running = np.concatenate([np.zeros_like(tables[:1]), np.cumsum(tables, axis=0)])
    check_listed(running[-1], pred_map, list(pred), where)
    stats = {}
    for size in windows:
        size_here = min(size, len(tables))
        total = PQStat()
        for table in running[size_here:] - running[: len(running) - size_here]:
            total += _count(table, list(truth.values()), list(pred.values()))
        stats[size] = total
    return stats


def check_windows(windows: Sequence[int]) -> None:
    """Check the frames of windows.

    Raises:
        UserError: If there is no window, or one without frames.
    """
    if not windows or min(windows) < 1:
        raise UserError(f'windows: expected numbers of frames, each >= 1, got {tuple(windows)}')


def _count(
    table: np.ndarray, truth: list[Mapping[str, Any]], pred: list[Mapping[str, Any]]
) -> PQStat:
    """Matches among the tubes that a window shows."""
    shown = np.flatnonzero(table[2:].any(axis=1)).tolist()
    drawn = np.flatnonzero(table[:, 2:].any(axis=0)).tolist()
    rows, columns = ([0, 1, *(place + 2 for place in places)] for places in (shown, drawn))
    return count_matches(
        table[np.ix_(rows, columns)],
        [_without_area(truth[row]) for row in shown],
        [pred[column] for column in drawn],
    )


def _without_area(segment: Mapping[str, Any]) -> Mapping[str, Any]:
    """A true segment whose area is what the window shows of it."""
    return {key: value for key, value in segment.items() if key != 'area'}


def vpq_summary(
    stats: Mapping[int, PQStat], categories: Mapping[int, bool]
) -> dict[str, dict[str, float]]:
    """Average over classes, then over windows.

    Args:
        stats: k to counts, as :func:`vpq_stats` gives them, added up over clips.
        categories: Category id to whether it is a thing.

    Returns:
        ``All``, ``Things`` and ``Stuff``, each ``{"vpq": mean over k, "1": VPQ^1, ...}`` in
        [0, 1]; NaN for a group of which no class occurs.
    """
    by_window = {size: stat.summary(categories) for size, stat in stats.items()}
    summary = {}
    for group in ('All', 'Things', 'Stuff'):
        scores = {str(size): float(one[group]['pq']) for size, one in by_window.items()}
        summary[group] = {'vpq': float(np.mean(list(scores.values()))), **scores}
    return summary
