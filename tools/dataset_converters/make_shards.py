"""Pack images and their JSON annotations into webdataset-compatible tar shards with an index.

Reads folders of any depth that hold NAME.jpg (or .jpeg, .png, .webp) beside NAME.json in the format
of SA-1B. `ShardDataset` reads the result sample by sample.

Example:
    python tools/dataset_converters/make_shards.py data/sa1b --out data/sa1b_shards
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.writable import check_writable_folder


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('folder', type=Path, help='images and .json files, in folders of any depth')
    parser.add_argument('--out', required=True, type=Path, help='folder without shards')
    parser.add_argument(
        '--shard-mb', type=float, default=1024, help='size of a shard in 10^6 bytes'
    )
    args = parser.parse_args()
    if not args.shard_mb > 0:
        raise ValueError(f'--shard-mb: expected a number above 0, got {args.shard_mb}')
    return args


def main() -> None:
    """Write shards and index."""
    args = parse_args()
    check_writable_folder(args.out, '--out')
    from rich.console import Console
    from rich.progress import track

    from seg.datasets.shards import find_pairs, find_shards, write_shard_index, write_shards

    console = Console(stderr=True)
    pairs = find_pairs(args.folder)
    steps = write_shards(pairs, args.out, round(args.shard_mb * 1e6))
    for _ in track(steps, 'packing', len(pairs), console=console):
        pass
    shards = find_shards(args.out)
    num = write_shard_index(args.out, shards)
    num_bytes = sum(path.stat().st_size for path in shards)
    print(json_text({'samples': num, 'shards': len(shards), 'bytes': num_bytes}))


if __name__ == '__main__':
    run_main(main)
