"""Score results on DAVIS 2017: J and F, as the official evaluation does.

The first and the last annotated frame of a sequence are not scored by the semi-supervised
protocol; objects are those of the first annotation.

Example:
    python tools/eval_davis.py --gt data/davis --pred outputs/davis --split val --json
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--gt', type=Path, required=True, help='folder of DAVIS')
    parser.add_argument('--pred', type=Path, required=True, help='a folder of PNG per sequence')
    parser.add_argument('--split', default='val', help='list of sequences in ImageSets')
    parser.add_argument(
        '--protocol', default='semi-supervised', help='semi-supervised or unsupervised'
    )
    parser.add_argument('--year', default='2017', help='folder of lists in ImageSets')
    parser.add_argument('--resolution', default='480p', help='folder of annotations')
    parser.add_argument(
        '--all-frames', action='store_true', help='score the first and the last frame, too'
    )
    parser.add_argument('--json', action='store_true', help='print scores as the last line, JSON')
    parser.add_argument('--workers', type=int, default=1, help='threads that read and compare')
    return parser.parse_args()


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Score all sequences; fractions, see ``davis_summary``."""
    from concurrent.futures import ThreadPoolExecutor

    from rich.console import Console
    from rich.progress import track

    from seg.evaluation.functional.davis import davis_summary
    from seg.evaluation.functional.davis_files import DavisSequence, pair_davis_files

    if args.workers < 1:
        raise ValueError(f'--workers: expected 1 or more, got {args.workers}')
    sequences = pair_davis_files(
        args.gt,
        args.pred,
        args.split,
        protocol=args.protocol,
        year=args.year,
        resolution=args.resolution,
        skip_ends=not args.all_frames,
    )
    scores: dict[str, Any] = {}
    with ThreadPoolExecutor(args.workers) as pool:
        found = pool.map(DavisSequence.scores, sequences)
        console = Console(stderr=True)
        for one in track(found, 'sequences', total=len(sequences), console=console, transient=True):
            scores |= one
    return davis_summary(scores)


def show(summary: dict[str, Any]) -> None:
    """Print a table to standard error; scores in percent."""
    from rich.console import Console
    from rich.table import Table

    table = Table('object', 'J&F', 'J', 'F')
    for name, (j, f) in summary['per_object'].items():
        table.add_row(name, *(f'{100 * score:.2f}' for score in ((j + f) / 2, j, f)))
    mean = (summary[f'{name}-Mean'] for name in ('J&F', 'J', 'F'))
    table.add_section()
    table.add_row('mean', *(f'{100 * score:.2f}' for score in mean))
    Console(stderr=True).print(table)


def main() -> None:
    """Run the tool."""
    args = parse_args()
    summary = evaluate(args)
    show(summary)
    if args.json:
        print(json_text(summary))


if __name__ == '__main__':
    run_main(main)
