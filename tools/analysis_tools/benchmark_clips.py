"""Measure what following one object costs beside finding everything, on clips of Shapes.

Objects are found anew in frames in which the memory is unsure of them, which costs more. How often
that is depends on the video: the discs of benchmark.py are never doubted, things that cross, turn
and hide are. Both tasks run on the same frames in turns, and means are compared.

Example:
    python tools/analysis_tools/benchmark_clips.py --size 360x640 --threads 2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.freed_memory import keep_freed_memory
from seg.utils.json_text import json_text
from seg.utils.number_flags import count_flag, frame_size_flag, threads_flag


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--config', help='config of a model of your own (with --checkpoint)')
    parser.add_argument('--checkpoint', help='weights to use with --config')
    parser.add_argument('--size', type=frame_size_flag, default=(360, 640), metavar='HxW')
    parser.add_argument('--clips', type=count_flag, default=12, help='how many (default: 12)')
    parser.add_argument(
        '--frames', type=count_flag, default=24, help='of each clip, 2 or more (default: 24)'
    )
    parser.add_argument('--seed', type=int, default=0, help='of the validation world (default: 0)')
    parser.add_argument(
        '--threads', type=threads_flag, help='CPU threads; by default those of torch'
    )
    parser.add_argument('--device', default='cpu', help='such as cpu (default) or cuda:0')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def render(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    lines = [
        '| frames | found anew | panoptic | vos, one object | ratio | sure | found anew |',
        '|---|---|---|---|---|---|---|',
        f'| {report["frames"]} | {100 * report["share_anew"]:.0f} % '
        f'| {1000 * report["panoptic_seconds"]:.1f} ms | {1000 * report["vos_seconds"]:.1f} ms | '
        + ' | '.join(_rounded(report[f'ratio{kind}']) for kind in ('', '_sure', '_anew'))
        + ' |',
        '',
        f'ratios by clip: {", ".join(map(_rounded, report["ratio_by_clip"]))}',
    ]
    return '\n'.join(lines)


def _rounded(ratio: float | None) -> str:
    return 'none' if ratio is None else f'{ratio:.2f}'


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    if arguments.frames < 2:
        raise UserError(
            f'--frames: expected 2 or more, got {arguments.frames}; on the first one an object is '
            'given, not followed'
        )
    if arguments.seed < 0:
        raise UserError(f'--seed: expected 0 or more, got {arguments.seed}')
    from seg.datasets.shapes.world import MIN_SIZE

    if min(arguments.size) < MIN_SIZE:
        height, width = arguments.size
        raise UserError(f'--size: expected at least {MIN_SIZE}x{MIN_SIZE}, got {height}x{width}')
    keep_freed_memory()
    import torch
    from rich.console import Console
    from rich.progress import track

    from seg.apis import load_model, make_fast
    from seg.apis.model_zoo import DEFAULT_MODEL
    from seg.benchmark.clip_costs import clip_costs, summary
    from seg.benchmark.machine import OtherPrograms
    from seg.benchmark.measuring import telling_what_fits
    from seg.benchmark.workloads import check_memory
    from seg.structures import Task

    others = OtherPrograms()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    name = arguments.config or DEFAULT_MODEL
    model: Any = load_model(name, arguments.checkpoint, arguments.device)
    check_memory(model, Task.VOS)
    make_fast(model, *arguments.size)
    clips = clip_costs(
        model,
        arguments.size,
        arguments.clips,
        num_frames=arguments.frames,
        seed=arguments.seed,
    )
    shown = track(clips, 'clips', arguments.clips, console=Console(stderr=True))
    with telling_what_fits('clips of Shapes', arguments.size):
        done = list(shown)
    report = {
        'size': list(arguments.size),
        'threads': torch.get_num_threads(),
        'others': others.cores(),
        'seed': arguments.seed,
        'certain': None if model.head.dual_path is None else model.head.dual_path.certain,
        **summary(done),
    }
    print(render(report))
    if arguments.json:
        print(json_text(report))
    return 0


if __name__ == '__main__':
    run_main(main)
