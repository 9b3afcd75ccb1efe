"""Score panoptic results in COCO's layout: PQ, SQ and RQ, without panopticapi.

Example:
    python tools/eval_panoptic.py --gt panoptic_val2017.json --gt-dir panoptic_val2017 \
        --pred results.json --pred-dir results --json
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
    parser.add_argument('--gt', type=Path, required=True, help='annotations, JSON')
    parser.add_argument('--gt-dir', type=Path, required=True, help='their PNG files')
    parser.add_argument('--pred', type=Path, required=True, help='predictions, JSON')
    parser.add_argument('--pred-dir', type=Path, required=True, help='their PNG files')
    parser.add_argument('--json', action='store_true', help='print scores as the last line, JSON')
    parser.add_argument('--workers', type=int, default=1, help='threads that read and compare')
    return parser.parse_args()


def evaluate(args: argparse.Namespace) -> dict[str, Any]:
    """Compare all images and average; fractions, see ``PQStat.summary``."""
    from concurrent.futures import ThreadPoolExecutor

    from rich.console import Console
    from rich.progress import track

    from seg.evaluation.functional.panoptic_files import pair_panoptic_files
    from seg.evaluation.functional.pq import PQStat

    if args.workers < 1:
        raise ValueError(f'--workers: expected 1 or more, got {args.workers}')
    pairs, categories = pair_panoptic_files(args.gt, args.gt_dir, args.pred, args.pred_dir)
    total = PQStat()
    with ThreadPoolExecutor(args.workers) as pool:
        stats = pool.map(lambda pair: pair.stat(categories), pairs)
        console = Console(stderr=True)
        for stat in track(stats, 'images', total=len(pairs), console=console, transient=True):
            total += stat
    return total.summary(categories)


def show(summary: dict[str, Any]) -> None:
    """Print a table to standard error; scores in percent."""
    from rich.console import Console
    from rich.table import Table

    table = Table('', 'PQ', 'SQ', 'RQ', 'classes')
    for name, row in summary.items():
        if name != 'per_class':
            table.add_row(name, *(f'{100 * row[k]:.2f}' for k in ('pq', 'sq', 'rq')), str(row['n']))
    for category, row in summary['per_class'].items():
        table.add_row(f'class {category}', *(f'{100 * row[k]:.2f}' for k in ('pq', 'sq', 'rq')), '')
    Console(stderr=True).print(table)


def as_json(summary: dict[str, Any]) -> str:
    """The summary with the official keys; ``per_class`` holds the classes that were matched."""
    matched = {str(c): row for c, row in summary['per_class'].items() if row['pq'] > 0}
    return json_text({**summary, 'per_class': matched})


def main() -> None:
    """Run the tool."""
    args = parse_args()
    summary = evaluate(args)
    show(summary)
    if args.json:
        print(as_json(summary))


if __name__ == '__main__':
    run_main(main)
