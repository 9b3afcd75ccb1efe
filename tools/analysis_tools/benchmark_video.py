"""Measure what following objects costs: memory and time over a long video, and per object.

The frames are drawn squares on noise; the weights do not matter for the cost, so they are random
unless a checkpoint is given.

Example:
    python tools/analysis_tools/benchmark_video.py --frames 200 2000 --json
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.paths import config_dir

DEFAULT_CONFIG = config_dir() / 'rap_sam' / 'rap_sam_nano_shapes.py'
WARM_UP, WINDOW = 20, 50
MEMORY_TARGET, TIME_TARGET = 0.02, 0.10


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument('--config', type=Path, default=DEFAULT_CONFIG, help='default: nano')
    parser.add_argument('--checkpoint', type=Path, help='weights; random by default')
    parser.add_argument(
        '--frames',
        type=int,
        nargs=2,
        default=(200, 2000),
        metavar=('EARLY', 'LATE'),
        help='frames that are compared (default: 200 2000)',
    )
    parser.add_argument(
        '--long-objects',
        type=int,
        nargs='*',
        default=(1, 8),
        help='numbers of objects in the long videos (default: 1 8)',
    )
    parser.add_argument(
        '--objects',
        type=int,
        nargs='*',
        default=(1, 2, 4, 8, 16),
        help='numbers of objects whose cost is compared (default: 1 2 4 8 16)',
    )
    parser.add_argument('--size', type=int, nargs=2, default=(128, 160), metavar=('H', 'W'))
    parser.add_argument('--threads', type=int, help='CPU threads; by default those of torch')
    parser.add_argument('--device', default='cpu', help='such as cpu (default) or cuda:0')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def build_predictor(arguments: argparse.Namespace) -> Any:
    """A predictor for frames of the size asked for."""
    import torch
    from mmengine.config import Config

    from seg.apis import VideoPredictor
    from seg.apis.loading import choose_device, read_config
    from seg.registry import MODELS
    from seg.utils.checkpoints import load_weights, read_weights

    cfg = read_config(arguments.config)
    torch.manual_seed(0)
    model: Any = MODELS.build(cfg.model)
    if arguments.checkpoint is not None:
        load_weights(model, read_weights(arguments.checkpoint))
    pipeline = [dict(type='TestResize', scale=tuple(arguments.size)), dict(type='PackClip')]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model.entry = None
    return VideoPredictor(model.to(choose_device(arguments.device)).eval())


def draw_frame(index: int, num_objects: int, size: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """A frame (H, W, 3) with squares that go round, and their ids (H, W)."""
    height, width = size
    rng = np.random.default_rng(index % 16)
    image = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    ids = np.zeros((height, width), dtype=np.int32)
    side, columns = max(height // 6, 4), 4
    for k in range(num_objects):
        phase = 2 * np.pi * (index % 64) / 64
        y = int((k // columns + 0.5) * height / 4 + 4 * np.sin(phase)) - side // 2
        x = int((k % columns + 0.5) * width / columns + 4 * np.cos(phase)) - side // 2
        here = np.s_[max(y, 0) : y + side, max(x, 0) : x + side]
        image[here] = (37 * k + 90) % 256, (91 * k + 150) % 256, (53 * k + 30) % 256
        ids[here] = k + 1
    return image, ids


def start_session(predictor: Any, num_objects: int, size: Sequence[int]) -> Any:
    """A session with that many objects prompted on the first frame."""
    session = predictor.start(*size, task='vos')
    _, ids = draw_frame(0, num_objects, size)
    for object_id in range(1, num_objects + 1):
        session.add_prompts(object_id, mask=ids == object_id)
    return session


def resident_mib() -> float:
    """Memory of this process that is in RAM, MiB.

    Raises:
        UserError: If the system does not say.
    """
    statm = Path('/proc/self/statm')
    if not statm.exists():
        raise UserError('benchmark_video: expected /proc/self/statm, as on Linux, got none')
    import resource

    return int(statm.read_text().split()[1]) * resource.getpagesize() / 2**20


def measure_long(predictor: Any, num_objects: int, arguments: argparse.Namespace) -> dict:
    """Memory and time per frame at an early and at a late frame."""
    early, late = arguments.frames
    session = start_session(predictor, num_objects, arguments.size)
    times: list[float] = []
    found: dict[str, Any] = {'objects': num_objects}
    for index in range(late):
        image, _ = draw_frame(index, num_objects, arguments.size)
        begin = time.process_time()
        session.step(image)
        times.append(time.process_time() - begin)
        if index + 1 in (early, late):
            which = 'early' if index + 1 == early else 'late'
            found[f'{which}_frame'] = index + 1
            found[f'{which}_mib'] = resident_mib()
            found[f'{which}_seconds'] = statistics.median(times[-WINDOW:])
        if len(times) > WINDOW:
            del times[0]
    found['memory_growth'] = found['late_mib'] / found['early_mib'] - 1
    found['time_growth'] = found['late_seconds'] / found['early_seconds'] - 1
    found['met'] = found['memory_growth'] <= MEMORY_TARGET and found['time_growth'] <= TIME_TARGET
    return found


def measure_objects(predictor: Any, num_objects: int, arguments: argparse.Namespace) -> dict:
    """Time per frame once the memory is full."""
    session = start_session(predictor, num_objects, arguments.size)
    times = []
    for index in range(2 * WARM_UP):
        image, _ = draw_frame(index, num_objects, arguments.size)
        begin = time.process_time()
        session.step(image)
        times.append(time.process_time() - begin)
    return {'objects': num_objects, 'seconds': statistics.median(times[WARM_UP:])}


def render(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = ['| objects | frame | resident MiB | CPU ms per frame |', '|---|---|---|---|']
    for row in report['long']:
        for which in ('early', 'late'):
            lines.append(
                f'| {row["objects"]} | {row[f"{which}_frame"]} | {row[f"{which}_mib"]:.1f} | '
                f'{1000 * row[f"{which}_seconds"]:.1f} |'
            )
    lines += ['', '| objects | CPU ms per frame | times that of one object |', '|---|---|---|']
    for row in report['objects']:
        ratio = row['seconds'] / report['objects'][0]['seconds']
        lines.append(f'| {row["objects"]} | {1000 * row["seconds"]:.1f} | {ratio:.2f} |')
    return '\n'.join(lines)


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    early, late = arguments.frames
    if not 1 <= early < late:
        raise UserError(f'frames: expected 1 <= EARLY < LATE, got {early} and {late}')
    if min([*arguments.long_objects, *arguments.objects], default=1) < 1:
        raise UserError('objects: expected numbers >= 1')
    import torch

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    predictor = build_predictor(arguments)
    report = {
        'long': [measure_long(predictor, n, arguments) for n in arguments.long_objects],
        'objects': [measure_objects(predictor, n, arguments) for n in arguments.objects],
    }
    print(render(report))
    if arguments.json:
        print(json.dumps(report))
    return 0


if __name__ == '__main__':
    run_main(main)
