"""Measure how fast a large data set starts and what its index costs each loader process.

Writes a synthetic annotation file in COCO panoptic format (no images), indexes it, opens it again
from the cache in the same way as the next run would, and lets forked processes go through all of
it. Prints seconds and megabytes as JSON.

Example:
    python tools/analysis_tools/bench_index.py --num 100000
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import pickle
import sys
import tempfile
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    from seg.datasets import CocoPanopticDataset

SEGMENTS_PER_IMAGE = 11  # as COCO has


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--num', type=int, default=100_000, help='images')
    parser.add_argument('--workers', type=int, default=4, help='processes that read the index')
    args = parser.parse_args()
    for name in ('num', 'workers'):
        if getattr(args, name) < 1:
            raise ValueError(f'--{name}: expected a number >= 1, got {getattr(args, name)}')
    return args


def write_annotations(path: Path, num: int) -> None:
    """Write a file of ``num`` images with eleven segments each."""
    segment = {'iscrowd': 0, 'area': 12345, 'bbox': [10, 20, 300, 400]}
    content = {
        'images': [
            {'id': i, 'file_name': f'{i:012d}.jpg', 'height': 480, 'width': 640} for i in range(num)
        ],
        'annotations': [
            {
                'image_id': i,
                'file_name': f'{i:012d}.png',
                'segments_info': [
                    {'id': 1000 * k + i % 1000 + 1, 'category_id': k % 4 + 1, **segment}
                    for k in range(SEGMENTS_PER_IMAGE)
                ],
            }
            for i in range(num)
        ],
        'categories': [{'id': k, 'name': f'class {k}', 'isthing': k % 2} for k in range(1, 5)],
    }
    path.write_text(json.dumps(content))


def open_dataset(ann_file: Path) -> CocoPanopticDataset:
    """The data set, through the cache."""
    from seg.datasets import CocoPanopticDataset

    return CocoPanopticDataset(ann_file, ann_file.parent, ann_file.parent, 'panoptic', [])


def private_megabytes() -> float:
    """Memory of this process that it shares with no other."""
    lines = Path('/proc/self/smaps_rollup').read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith('Private')) / 1024


def read_everything(dataset: CocoPanopticDataset, pipe: Connection) -> None:
    """Go through the index as a worker does, and report how much private memory that cost."""
    before = private_megabytes()
    index = dataset.index
    for row in map(int, dataset.rows):
        names = (index.texts(name)[row] for name in ('img_ids', 'img_files', 'seg_files'))
        part = slice(*index['offsets'][row : row + 2].tolist())
        assert all(names)
        assert index['segment_ids'][part].min() > 0
    pipe.send(private_megabytes() - before)


def measure_workers(dataset: CocoPanopticDataset, workers: int) -> list[float]:
    """Growth of the private memory of each of some forked processes, in megabytes."""
    context = multiprocessing.get_context('fork')
    pairs = [context.Pipe() for _ in range(workers)]
    processes = [
        context.Process(target=read_everything, args=(dataset, sender)) for _, sender in pairs
    ]
    for process in processes:
        process.start()
    grown = [receiver.recv() for receiver, _ in pairs]
    for process in processes:
        process.join()
    return grown


def main() -> None:
    """Run the benchmark."""
    args = parse_args()
    results: dict[str, Any] = {'images': args.num}
    with tempfile.TemporaryDirectory() as folder:
        os.environ['RAPSAM_CACHE_DIR'] = folder
        ann_file = Path(folder) / 'panoptic.json'
        write_annotations(ann_file, args.num)
        import seg.datasets  # noqa: F401  (so that imports are not measured)

        for name in ('first_start_s', 'next_start_s'):
            started = time.perf_counter()
            dataset = open_dataset(ann_file)
            results[name] = round(time.perf_counter() - started, 3)
            if name == 'first_start_s':
                del dataset  # so that the file is opened and checked again
        results['annotations_mb'] = round(ann_file.stat().st_size / 2**20, 1)
        cached = next((Path(folder) / 'indexes').iterdir())
        results['index_mb'] = round(cached.stat().st_size / 2**20, 1)
        results['pickled_kb'] = round(len(pickle.dumps(dataset)) / 2**10, 1)
        results['worker_growth_mb'] = [
            round(grown, 1) for grown in measure_workers(dataset, args.workers)
        ]
    print(json_text(results))


if __name__ == '__main__':
    run_main(main)
