"""Index the tar shards of a folder, such as those of SA-1B as they were downloaded.

Only the headers are read. The index, shards.index, is written beside the shards; without it a data
set indexes them in the user's cache when it is first used.

Example:
    python tools/dataset_converters/index_shards.py data/sa1b_tars
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
    parser.add_argument('folder', type=Path, help='folder of *.tar')
    return parser.parse_args()


def main() -> None:
    """Write the index."""
    args = parse_args()
    from rich.console import Console
    from rich.progress import Progress

    from seg.datasets.shards import find_shards, write_shard_index

    shards = find_shards(args.folder)
    if not args.folder.is_dir():
        raise ValueError(f'{args.folder}: expected a folder of .tar files, got a file')
    check_writable_folder(args.folder, 'folder')
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task('indexing', total=len(shards))
        num = write_shard_index(args.folder, shards, lambda path: progress.advance(task))
    print(json_text({'samples': num, 'shards': len(shards)}))


if __name__ == '__main__':
    run_main(main)
