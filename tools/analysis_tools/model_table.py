"""Count what the sizes of SAM 3 weigh and compute, and measure single ones.

Parameters, bytes and operations are counted on PyTorch's meta device, without memory or weights.
Standard output has the tables of docs/sam3.md, then JSON as its last line; with ``--write`` the
tables in that file are replaced. With ``--measure`` one size runs once with random weights, and
JSON tells how long that took and how much memory the whole process needed.

Example:
    python tools/analysis_tools/model_table.py --write docs/sam3.md
    python tools/analysis_tools/model_table.py --measure lite --dtype bfloat16 --phrases 1 2
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

NAMES = ('standard', 'depth_pruned', 'larger', 'lite', 'smaller')


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--variants', nargs='+', default=list(NAMES), help='sizes to count')
    parser.add_argument('--write', type=Path, metavar='FILE', help='replace the tables in FILE')
    parser.add_argument('--measure', metavar='VARIANT', help='run this size instead of counting')
    parser.add_argument('--dtype', default='float32', choices=('float32', 'bfloat16', 'float16'))
    parser.add_argument('--size', type=int, help="side of the canvas; by default the size's own")
    parser.add_argument(
        '--phrases',
        nargs='+',
        type=int,
        default=[1],
        metavar='N',
        help='ask so many phrases at once, one number after the other',
    )
    parser.add_argument('--drop-text-encoder', action='store_true', help='know the phrases only')
    parser.add_argument('--device', default='cpu')
    parser.add_argument('--threads', type=int, default=1)
    return parser.parse_args()


def count_all(args: argparse.Namespace) -> dict[str, Any]:
    """Count the chosen sizes, and print or write their tables."""
    from seg.benchmark.sam3_costs import costs_of
    from seg.benchmark.sam3_tables import claim_table, replace_tables, size_table

    costs = {name: costs_of(name) for name in args.variants}
    tables = {'sizes': size_table(costs)}
    if set(costs) >= set(NAMES):
        tables['claims'] = claim_table(costs)
    if args.write is not None:
        replace_tables(args.write, tables)
    for table in tables.values():
        print(table, end='\n\n')
    return {name: cost.as_dict() for name, cost in costs.items()}


def main() -> int:
    """Count all sizes, or measure one."""
    args = parse_arguments()
    if args.measure is None:
        print(json_text(count_all(args)))
        return 0
    from seg.benchmark.sam3_timing import time_sam3

    result = time_sam3(
        args.measure,
        dtype=args.dtype,
        phrases=args.phrases,
        image_size=args.size,
        drop_text_encoder=args.drop_text_encoder,
        device=args.device,
        threads=args.threads,
    )
    print(json_text(result))
    return 0


if __name__ == '__main__':
    run_main(main)
