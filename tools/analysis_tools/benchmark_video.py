"""Measure what following objects costs: memory and time over a long video, and per object.

The frames are drawn discs on noise; the weights do not matter for the cost, so they are random
unless a checkpoint is given. A machine has faster and slower minutes, so times are compared between
videos that go on in turns, a frame of each: one that has just passed EARLY and one that has passed
LATE, and videos with different numbers of objects.

Example:
    python tools/analysis_tools/benchmark_video.py --frames 200 2000 --out outputs/bench_video
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.freed_memory import keep_freed_memory
from seg.utils.json_text import json_text
from seg.utils.number_flags import frame_size_flag, threads_flag
from seg.utils.paths import config_dir
from seg.utils.writable import check_writable_file

if TYPE_CHECKING:
    import torch

    from seg.benchmark.workloads import Workload

DEFAULT_CONFIG = config_dir() / 'rap_sam' / 'rap_sam_nano_shapes.py'
WARM_UP, COMPARED, WINDOW = 20, 200, 50
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
    parser.add_argument('--size', type=frame_size_flag, default=(128, 160), metavar='HxW')
    parser.add_argument(
        '--threads', type=threads_flag, help='CPU threads; by default those of torch'
    )
    parser.add_argument('--device', default='cpu', help='such as cpu (default) or cuda:0')
    parser.add_argument('--out', type=Path, help='folder for report.json, report.md, report.png')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


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


def measure_long(
    start_video: Callable[[], Workload],
    num_objects: int,
    frames: tuple[int, int],
    device: torch.device,
) -> dict[str, Any]:
    """Memory at an early and at a late frame, time per frame behind them, and what lies between."""
    from seg.benchmark.measuring import timed

    early, late = frames
    video = start_video()
    found: dict[str, Any] = {'objects': num_objects, 'early_frame': early, 'late_frame': late}
    curve, times = [], []
    for frame in range(1, late + 1):
        times.append(timed(video, device, frame)[0].on(device))
        if frame == early:
            found['early_mib'] = resident_mib()
        if frame % WINDOW == 0:
            curve.append((frame, statistics.median(times[-WINDOW:]), resident_mib()))
    found['late_mib'] = resident_mib()
    young = start_video()
    for frame in range(1, early + 1):
        young.step(frame)
    found['early_seconds'], found['late_seconds'] = in_turns([young, video], device)
    found['memory_growth'] = found['late_mib'] / found['early_mib'] - 1
    found['time_growth'] = found['late_seconds'] / found['early_seconds'] - 1
    found['met'] = found['memory_growth'] <= MEMORY_TARGET and found['time_growth'] <= TIME_TARGET
    return {**found, 'compared_frames': COMPARED, 'curve': curve}


def measure_objects(
    start_video: Callable[[int], Workload], numbers: Sequence[int], device: torch.device
) -> list[dict[str, Any]]:
    """Time per frame for each number of objects, once the memory is full."""
    videos = [start_video(number) for number in numbers]
    for video in videos:
        for frame in range(WARM_UP):
            video.step(frame)
    seconds = in_turns(videos, device)
    return [
        {'objects': number, 'seconds': median}
        for number, median in zip(numbers, seconds, strict=True)
    ]


def in_turns(videos: Sequence[Workload], device: torch.device) -> list[float]:
    """Median seconds of a frame of each video, of the processor or of a GPU."""
    from seg.benchmark import measuring

    return [took.on(device) for took in measuring.in_turns(videos, device, COMPARED)]


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
    keep_freed_memory()
    early, late = arguments.frames
    if not 1 <= early < late:
        raise UserError(f'frames: expected 1 <= EARLY < LATE, got {early} and {late}')
    for ending in () if arguments.out is None else ('json', 'md', 'png'):
        check_writable_file(arguments.out / f'report.{ending}', '--out')
    if min([*arguments.long_objects, *arguments.objects], default=1) < 1:
        raise UserError('objects: expected numbers >= 1')
    if not (arguments.long_objects or arguments.objects):
        raise UserError(
            '--objects: expected numbers of objects there or behind --long-objects, got none at all'
        )
    import torch

    from seg.apis.loading import choose_device
    from seg.benchmark.building import build_model
    from seg.benchmark.machine import OtherPrograms
    from seg.benchmark.measuring import telling_what_fits
    from seg.benchmark.report import write_video_report
    from seg.benchmark.workloads import check_memory, video_workload
    from seg.structures import Task

    others = OtherPrograms()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    device = choose_device(arguments.device)
    model, _ = build_model(arguments.config, arguments.checkpoint, device)
    check_memory(model, Task.VOS)
    size = arguments.size

    def start_video(num_objects: int) -> Workload:
        video = video_workload(model, size, num_objects, Task.VOS)
        video.reset()
        return video

    with telling_what_fits('a video', size):
        long = [
            measure_long(partial(start_video, n), n, tuple(arguments.frames), device)
            for n in arguments.long_objects
        ]
        by_objects = measure_objects(start_video, arguments.objects, device)
    report = {
        'size': list(size),
        'threads': torch.get_num_threads(),
        'others': others.cores(),
        'long': long,
        'objects': by_objects,
    }
    print(render(report))
    if arguments.out is not None:
        write_video_report(report, render(report), arguments.out)
    if arguments.json:
        print(json_text(report))
    return 0


if __name__ == '__main__':
    run_main(main)
