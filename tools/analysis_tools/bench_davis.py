"""Time J and F of DAVIS against a plain evaluation, frame by frame and object by object.

Both score the same results in the same process, on one core, and must agree. The time to read the
files is shown apart. The plain evaluation takes every mask at full size, as the definition reads.

Example:
    python tools/analysis_tools/bench_davis.py --gt data/davis --pred outputs/davis --json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text


def plain_outline(mask: np.ndarray) -> np.ndarray:
    """Pixels of a mask (H, W) that differ from the right, lower or lower right neighbour."""
    right, below, corner = np.zeros((3, *mask.shape), dtype=bool)
    right[:, :-1] = mask[:, 1:]
    below[:-1] = mask[1:]
    corner[:-1, :-1] = mask[1:, 1:]
    outline = (mask ^ right) | (mask ^ below) | (mask ^ corner)
    outline[-1] = mask[-1] ^ right[-1]
    outline[:, -1] = mask[:, -1] ^ below[:, -1]
    outline[-1, -1] = False
    return outline


def plain_scores(truth: np.ndarray, prediction: np.ndarray) -> tuple[float, float]:
    """J and F of one object in one frame, both masks (H, W), bool."""
    union = np.count_nonzero(truth | prediction)
    region = np.count_nonzero(truth & prediction) / union if union else 1.0
    radius = int(np.ceil(0.008 * np.linalg.norm(truth.shape)))
    rows, columns = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disk = (rows**2 + columns**2 <= radius**2).astype(np.uint8)
    outlines = [plain_outline(mask) for mask in (truth, prediction)]
    wide = [cv2.dilate(outline.astype(np.uint8), disk) for outline in outlines]
    num_true, num_predicted = (np.count_nonzero(outline) for outline in outlines)
    if not num_true or not num_predicted:
        return region, float(num_true == num_predicted)
    recall = np.count_nonzero(outlines[0] & (wide[1] > 0)) / num_true
    precision = np.count_nonzero(outlines[1] & (wide[0] > 0)) / num_predicted
    total = precision + recall
    return region, 2 * precision * recall / total if total else 0.0


def plain_evaluation(
    frames: Sequence[tuple[np.ndarray, np.ndarray]], object_ids: Sequence[int]
) -> np.ndarray:
    """J and F of all objects in all frames, (N, T, 2)."""
    return np.array(
        [
            [
                plain_scores(truth == object_id, prediction == object_id)
                for truth, prediction in frames
            ]
            for object_id in object_ids
        ]
    )


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--gt', type=Path, required=True, help='folder of DAVIS')
    parser.add_argument('--pred', type=Path, required=True, help='a folder of PNG per sequence')
    parser.add_argument('--split', default='val', help='list of sequences in ImageSets')
    parser.add_argument('--repeats', type=int, default=3, help='rounds; the fastest counts')
    parser.add_argument('--json', action='store_true', help='print the times as JSON')
    return parser.parse_args()


def main() -> None:
    """Run the tool."""
    args = parse_args()
    from seg.evaluation.functional.davis import score_objects
    from seg.evaluation.functional.davis_files import pair_davis_files

    cv2.setNumThreads(1)
    times: dict[str, list[float]] = {'read': [], 'plain': [], 'ours': []}
    difference, num_masks = 0.0, 0
    for sequence in pair_davis_files(args.gt, args.pred, args.split):
        rounds = []
        for _ in range(args.repeats):
            start = time.process_time()
            frames = list(sequence.frames())
            read = time.process_time()
            plain = plain_evaluation(frames, sequence.object_ids)
            middle = time.process_time()
            ours = score_objects(frames, sequence.object_ids)
            end = time.process_time()
            rounds.append((read - start, middle - read, end - middle))
            difference = max(difference, float(np.abs(np.stack(ours, axis=-1) - plain).max()))
        for name, best in zip(times, np.min(rounds, axis=0).tolist(), strict=True):
            times[name].append(best)
        num_masks += ours.j.size
    seconds = {name: sum(values) for name, values in times.items()}
    print(
        json_text(
            {
                'masks': num_masks,
                **{f'{name}_ms_per_mask': 1e3 * s / num_masks for name, s in seconds.items()},
                'times_as_fast': seconds['plain'] / seconds['ours'],
                'times_as_fast_with_reading': (seconds['read'] + seconds['plain'])
                / (seconds['read'] + seconds['ours']),
                'largest_difference': difference,
            },
            indent=None if args.json else 2,
        )
    )


if __name__ == '__main__':
    run_main(main)
