"""Time panoptic quality against a plain loop over segments, on made-up images of COCO's size.

Both run on the same images in the same process and must give the same scores.

Example:
    python tools/analysis_tools/bench_pq.py --images 20 --json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    from seg.evaluation.functional.pq import PQStat

NUM_CATEGORIES = 20
Image = tuple[np.ndarray, list[dict[str, Any]], np.ndarray, list[dict[str, Any]]]


def plain_pq_stat(
    pred_map: np.ndarray,
    pred_segments: list[dict[str, Any]],
    gt_map: np.ndarray,
    gt_segments: list[dict[str, Any]],
) -> PQStat:
    """The definition written down plainly: one mask per segment, one comparison per pair."""
    from seg.evaluation.functional.pq import ClassCounts, PQStat

    pred_masks = {s['id']: pred_map == s['id'] for s in pred_segments}
    gt_masks = {s['id']: gt_map == s['id'] for s in gt_segments}
    void = gt_map == 0
    ignored = dict.fromkeys(range(NUM_CATEGORIES), void)
    counts = {c: ClassCounts() for c in range(NUM_CATEGORIES)}
    matched: set[int] = set()
    for truth in gt_segments:
        if truth['iscrowd']:
            ignored[truth['category_id']] = void | gt_masks[truth['id']]
            continue
        found = ClassCounts(fn=1)
        for pred in pred_segments:
            if pred['category_id'] != truth['category_id']:
                continue
            gt_mask, pred_mask = gt_masks[truth['id']], pred_masks[pred['id']]
            union = np.count_nonzero((gt_mask | pred_mask) & ~(void & pred_mask))
            iou = np.count_nonzero(gt_mask & pred_mask) / union
            if iou > 0.5:
                found = ClassCounts(iou=iou, tp=1)
                matched.add(pred['id'])
        counts[truth['category_id']] += found
    for pred in pred_segments:
        pred_mask = pred_masks[pred['id']]
        excused = np.count_nonzero(pred_mask & ignored[pred['category_id']])
        if pred['id'] not in matched and excused <= 0.5 * np.count_nonzero(pred_mask):
            counts[pred['category_id']] += ClassCounts(fp=1)
    return PQStat(counts)


def make_image(seed: int, size: tuple[int, int] = (480, 640), num_segments: int = 25) -> Image:
    """Two overlays of random ellipses that mostly agree, with void, crowds and wrong classes."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    gt_map, pred_map = np.zeros(size, np.int32), np.zeros(size, np.int32)
    ids = (rng.permutation(1 << 16)[:num_segments] + 1).tolist()
    categories = rng.integers(0, NUM_CATEGORIES, num_segments).tolist()
    for segment_id in ids:
        centre = rng.uniform(0, 1, 2) * size
        radii = rng.uniform(0.04, 0.25, 2) * size
        for ids_map, shift in ((gt_map, 0.0), (pred_map, rng.normal(0, 0.15, 2))):
            offsets = (centre + shift * radii) / radii
            inside = (rows / radii[0] - offsets[0]) ** 2 + (columns / radii[1] - offsets[1]) ** 2
            ids_map[inside < 1] = segment_id
    wrong = rng.random(num_segments) < 0.15
    crowd = rng.random(num_segments) < 0.1
    drawn = [set(np.unique(m).tolist()) for m in (gt_map, pred_map)]
    truth = [
        {'id': i, 'category_id': c, 'iscrowd': int(k)}
        for i, c, k in zip(ids, categories, crowd, strict=True)
        if i in drawn[0]
    ]
    # One crowd per category, as in COCO.
    crowds = {s['category_id']: s['id'] for s in truth if s['iscrowd']}
    for segment in truth:
        segment['iscrowd'] = int(crowds.get(segment['category_id']) == segment['id'])
    pred = [
        {'id': i, 'category_id': (c + int(w)) % NUM_CATEGORIES}
        for i, c, w in zip(ids, categories, wrong, strict=True)
        if i in drawn[1]
    ]
    return pred_map, pred, gt_map, truth


def seconds(measure: Callable[..., PQStat], images: list[Image]) -> tuple[float, PQStat]:
    """Processor time, best of three runs over all images, and what they add up to."""
    from seg.evaluation.functional.pq import PQStat

    best = float('inf')
    for _ in range(3):
        start = time.process_time()
        total = sum((measure(*image) for image in images), PQStat())
        best = min(best, time.process_time() - start)
    return best, total


def main() -> None:
    """Run the tool."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--images', type=int, default=20)
    parser.add_argument('--json', action='store_true', help='print the numbers as JSON, last line')
    args = parser.parse_args()
    from seg.evaluation.functional.pq import pq_stat

    if args.images < 1:
        raise ValueError(f'--images: expected 1 or more, got {args.images}')
    images = [make_image(seed) for seed in range(args.images)]
    (plain, expected), (ours, got) = seconds(plain_pq_stat, images), seconds(pq_stat, images)
    categories = {c: c % 2 == 0 for c in range(NUM_CATEGORIES)}
    error = abs(got.summary(categories)['All']['pq'] - expected.summary(categories)['All']['pq'])
    numbers = {
        'plain_ms': 1e3 * plain / args.images,
        'pq_stat_ms': 1e3 * ours / args.images,
        'ratio': plain / ours,
        'pq_error': error,
    }
    print(
        '{plain_ms:.2f} ms plain, {pq_stat_ms:.2f} ms pq_stat per image: '
        '{ratio:.1f} times as fast, PQ differs by {pq_error:.1e}'.format(**numbers),
        file=sys.stderr,
    )
    if args.json:
        print(json_text(numbers))


if __name__ == '__main__':
    run_main(main)
