"""Time the data path on one core: reading, every step of the pipeline, and label mapping.

Without a config, Shapes of COCO's size are written to a temporary folder as COCO panoptic and go
through the training pipeline of RapSAM R50. Times are processor time of one thread, so that other
work on the machine counts little; caches of the file system are warm.

Example:
    python tools/analysis_tools/bench_data.py --json
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

os.environ.setdefault('OMP_NUM_THREADS', '1')
sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    from seg.datasets import ClipDataset

MAP_SIZE = (736, 1280)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, nargs='?', help='config whose training data to time')
    parser.add_argument('--images', type=int, default=20, help='different samples')
    parser.add_argument('--rounds', type=int, default=3, help='draws of each sample')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(480, 640), metavar=('H', 'W'), help='without a config'
    )
    parser.add_argument('--json', action='store_true', help='print the numbers as JSON, last line')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config'
    )
    args = parser.parse_args()
    for name in ('images', 'rounds'):
        if getattr(args, name) < 1:
            raise ValueError(f'--{name}: expected a number >= 1, got {getattr(args, name)}')
    return args


def shapes_as_coco(folder: Path, args: argparse.Namespace) -> ClipDataset:
    """Shapes on disk, read as the training data of R50."""
    from mmengine.config import Config

    from seg.datasets.converters import WRITERS, write_shapes
    from seg.registry import DATASETS
    from seg.utils.paths import config_dir

    num = args.images
    for _ in write_shapes(WRITERS['coco_panoptic'], folder, num, size=tuple(args.size)):
        pass
    cfg = Config.fromfile(config_dir() / '_base_/datasets/coco_panoptic.py')
    settings = {
        **cfg['train_dataloader']['dataset'],
        'ann_file': folder / 'annotations/panoptic_train2017.json',
        'img_dir': folder / 'train2017',
        'seg_dir': folder / 'annotations/panoptic_train2017',
    }
    return DATASETS.build(settings)


def configured_data(args: argparse.Namespace) -> dict[str, ClipDataset]:
    """The training data of a config, by name."""
    from seg.datasets.checks import dataset_settings
    from seg.engine.config_options import load_config
    from seg.registry import DATASETS

    cfg = load_config(args.config, args.cfg_options)
    settings = dataset_settings(cfg, 'train')
    return {name: DATASETS.build(one) for name, one in settings.items()}


def time_samples(dataset: ClipDataset, num: int, rounds: int) -> dict[str, float]:
    """Milliseconds of each step, and segments, per sample."""
    from seg.datasets import SampleRef

    sums: dict[str, float] = defaultdict(float)
    num = min(num, len(dataset))
    dataset[SampleRef(0)]  # imports and caches
    for draw in range(num * rounds):
        start = time.process_time()
        results = dataset.read(SampleRef(draw % num, draw=draw))
        results.update(task=dataset.task, dataset=dataset)
        sums['segments'] += len(results['labels'])
        times = [start, time.process_time()]
        for step in dataset.pipeline:
            results = step(results)
            times.append(time.process_time())
        names = ('read', *(type(step).__name__ for step in dataset.pipeline))
        for place, name in enumerate(names):
            sums[f'{name}_ms'] += 1e3 * (times[place + 1] - times[place])
        sums['total_ms'] += 1e3 * (times[-1] - times[0])
    means = {name: value / (num * rounds) for name, value in sums.items()}
    return {**means, 'samples_per_second': 1e3 / means['total_ms']}


def time_label_mapping(rounds: int = 60) -> dict[str, float]:
    """Milliseconds to map a panoptic map of COCO's classes to a joint label space."""
    import numpy as np

    from seg.datasets.label_space import join_label_spaces
    from seg.datasets.metainfo import COCO_PANOPTIC, VIPSEG, YOUTUBE_VIS_2019

    joined = join_label_spaces([VIPSEG, YOUTUBE_VIS_2019, COCO_PANOPTIC])
    blocks = np.random.default_rng(0).integers(0, COCO_PANOPTIC.num_classes, (23, 40))
    ids = blocks.repeat(32, axis=0).repeat(32, axis=1).astype(np.int32)
    assert ids.shape == MAP_SIZE, 'a map of the usual size'
    times = []
    for _ in range(rounds):
        start = time.process_time()
        joined.map_ids(2, ids)
        times.append(1e3 * (time.process_time() - start))
    return {'median_ms': float(np.median(times)), 'worst_ms': max(times)}


def main() -> None:
    """Run the benchmark."""
    args = parse_args()
    import torch

    torch.set_num_threads(1)
    report: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if args.config is None:
            data = {'shapes as COCO panoptic': shapes_as_coco(Path(folder) / 'coco', args)}
        else:
            data = configured_data(args)
        for name, dataset in data.items():
            report[name] = time_samples(dataset, args.images, args.rounds)
    report['label mapping 736x1280'] = time_label_mapping()
    for name, numbers in report.items():
        line = ', '.join(f'{key} {value:.2f}' for key, value in numbers.items())
        sys.stderr.write(f'{name}: {line}\n')
    if args.json:
        print(json_text(report))


if __name__ == '__main__':
    run_main(main)
