"""Measure each step that made the models fast beside what it replaced, in one run.

Both ways take turns, and their answers are compared. On a CPU processor time counts, except where
two things go on at once. The weights of the large model are random, which does not change its cost;
those of the small one are embedded.

Example:
    python tools/analysis_tools/bench_steps.py --size 544x960 --threads 1 --json
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.number_flags import count_flag, frame_size_flag, threads_flag
from seg.utils.paths import config_dir
from seg.utils.writable import check_writable_file

LARGE = config_dir() / 'rap_sam' / 'rap_sam_r50_12e_adaptor.py'


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--config', type=Path, default=LARGE, help='large model (default: RapSAM on ResNet-50)'
    )
    parser.add_argument('--size', type=frame_size_flag, default=(544, 960), metavar='HxW')
    parser.add_argument('--repeats', type=count_flag, default=5, help='runs of each (default: 5)')
    parser.add_argument(
        '--threads', type=threads_flag, help='CPU threads; by default those of torch'
    )
    parser.add_argument('--device', default='cpu', help='such as cpu (default) or cuda:0')
    parser.add_argument(
        '--compile', action='store_true', help='measure torch.compile as well, which takes minutes'
    )
    parser.add_argument('--out', type=Path, help='file for the JSON, written after each step')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def measure(arguments: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """One row per step, printed as it is measured, and the machine."""
    import torch

    from seg.apis import load_model
    from seg.apis.loading import choose_device
    from seg.apis.model_zoo import DEFAULT_MODEL
    from seg.benchmark.bench_step import Bench, measure_step
    from seg.benchmark.building import build_model
    from seg.benchmark.machine import OtherPrograms, describe_machine, measure_roofline
    from seg.benchmark.measuring import telling_what_fits
    from seg.benchmark.steps import steps
    from seg.models.deployment import fuse
    from seg.utils.freed_memory import keep_freed_memory

    others = OtherPrograms()
    keep_freed_memory()
    device = choose_device(arguments.device)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    large, _ = build_model(arguments.config, None, device)
    small = fuse(load_model(DEFAULT_MODEL, device=arguments.device))
    bench = Bench(
        device, arguments.size, large.requires_grad_(False), small, folder, arguments.compile
    )
    roofline = measure_roofline(device)
    report: dict[str, Any] = {'steps': []}
    with telling_what_fits('the steps', arguments.size):
        for step in steps(bench):
            row = measure_step(step, device, arguments.repeats)
            print(
                f'{row["plain_ms"]:9.1f} ms -> {row["fast_ms"]:8.1f} ms  {row["gain"]:5.2f}x  '
                f'differs by {row["difference"]:.0e}  {row["text"]}',
                flush=True,
            )
            report['steps'].append(row)
            report['machine'] = describe_machine(device, roofline, others)
            if arguments.out is not None:
                write_bytes_atomically(arguments.out, json_text(report).encode())
    return report


def main() -> int:
    """Measure and print."""
    arguments = parse_arguments()
    if arguments.out is not None:
        check_writable_file(arguments.out, '--out')
    with tempfile.TemporaryDirectory() as folder:
        report = measure(arguments, Path(folder))
    if arguments.json:
        print(json_text(report))
    return 0


if __name__ == '__main__':
    run_main(main)
