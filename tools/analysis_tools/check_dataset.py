"""Look for faults in the files of a config's data sets: all of them, in parallel.

Finds missing and truncated files, sizes that disagree, ids in PNG files that the JSON does not
list, empty masks, duplicate ids and unknown categories. Every fault is a line on standard output;
with --json the last line is a report in JSON. The exit code is 1 if there is any fault.

Example:
    python tools/analysis_tools/check_dataset.py configs/rap_sam/rap_sam_r50_12e_adaptor.py
"""

from __future__ import annotations

import argparse
import os
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.writable import check_writable_file

if TYPE_CHECKING:
    from seg.datasets.checks import DatasetCheck, Fault

SPLITS = ('train', 'val', 'test')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument(
        '--split', nargs='+', choices=SPLITS, help='default: all splits that the config has'
    )
    parser.add_argument(
        '--workers', type=int, default=os.cpu_count(), help='processes; 0 for one without workers'
    )
    parser.add_argument('--max-samples', type=int, help='at most so many samples of each data set')
    parser.add_argument('--json', action='store_true', help='print the report as JSON, last line')
    parser.add_argument('--out', type=Path, metavar='FILE', help='write the report there, as JSON')
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config'
    )
    args = parser.parse_args()
    for name, least in (('workers', 0), ('max_samples', 1)):
        value = getattr(args, name)
        if value is not None and value < least:
            option = name.replace('_', '-')
            raise ValueError(f'--{option}: expected a number >= {least}, got {value}')
    return args


def open_checks(args: argparse.Namespace) -> dict[str, tuple[DatasetCheck, list[Fault]]]:
    """Checks of the config's data sets by name, with the faults of the data sets as a whole.

    Each set of files is there once.
    """
    from seg.datasets.checks import all_faults, dataset_settings, open_check, same_files
    from seg.engine.config_options import load_config

    cfg = load_config(args.config, args.cfg_options)
    splits = args.split or [name for name in SPLITS if cfg.get(f'{name}_dataloader') is not None]
    known: dict[str, tuple[str, Any]] = {}
    for split in splits:
        for name, settings in dataset_settings(cfg, split).items():
            known.setdefault(same_files(settings), (name, settings))
    opened = {}
    for name, settings in known.values():
        check = open_check(settings)
        opened[name] = check, all_faults(check, settings)
    return opened


def find_faults(
    opened: dict[str, tuple[DatasetCheck, list[Fault]]], args: argparse.Namespace
) -> list[tuple[str, Fault]]:
    """Walk through the data sets behind a progress bar, and print every fault when it is found."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from seg.datasets.checks import walk

    found: list[tuple[str, Fault]] = []

    def report(name: str, faults: Any) -> None:
        for fault in faults:
            found.append((name, fault))
            print(f'[{name}] {fault}', flush=True)

    for name, (_, faults) in opened.items():
        report(name, faults)
    checks = {name: check for name, (check, _) in opened.items()}
    total = sum(min(len(check), args.max_samples or len(check)) for check in checks.values())
    columns = ('checking', BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task('checking', total=total)
        for name, faults in walk(checks, args.workers, args.max_samples):
            report(name, faults)
            progress.advance(task)
    return found


def main() -> int:
    """Check the data sets."""
    args = parse_args()
    if args.out is not None:
        check_writable_file(args.out, '--out')
    opened = open_checks(args)
    found = find_faults(opened, args)
    counts = Counter(fault.kind.value for _, fault in found)
    sizes = {name: min(len(c), args.max_samples or len(c)) for name, (c, _) in opened.items()}
    summary = ', '.join(f'{number} {kind}' for kind, number in sorted(counts.items())) or 'none'
    samples = ', '.join(f'{number} of {name}' for name, number in sizes.items())
    sys.stderr.write(f'{len(found)} faults ({summary}) in {samples}\n')
    report = {
        'num_faults': len(found),
        'counts': dict(sorted(counts.items())),
        'samples': sizes,
        'faults': [{'dataset': name, **fault.as_dict()} for name, fault in found],
    }
    if args.out is not None:
        from seg.utils.atomic_write import write_bytes_atomically

        write_bytes_atomically(args.out, f'{json_text(report, indent=2)}\n'.encode())
    if args.json:
        print(json_text(report))
    return 1 if found else 0


if __name__ == '__main__':
    run_main(main)
