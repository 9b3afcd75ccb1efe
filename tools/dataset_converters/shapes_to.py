"""Write Shapes in the on-disk layout of a data set, to try readers and recipes without downloads.

Example:
    python tools/dataset_converters/shapes_to.py --format davis --out data/shapes_davis --num 20
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main

FORMATS = (
    'coco_panoptic',
    'coco_instance',
    'youtube_vis',
    'davis',
    'vipseg',
    'cityscapes',
    'refcoco',
    'sa1b',
    'bdd100k',
    'folders',
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--format', required=True, choices=FORMATS, help='layout to write')
    parser.add_argument('--out', required=True, type=Path, help='new or empty folder')
    parser.add_argument('--num', required=True, type=int, help='samples of each of train and val')
    parser.add_argument('--num-frames', type=int, default=8, help='frames of a video')
    parser.add_argument('--seed', type=int, default=0, help='which worlds')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(128, 160), metavar=('H', 'W'), help='of the frames'
    )
    return parser.parse_args()


def main() -> None:
    """Write the data set."""
    args = parse_args()
    from rich.console import Console
    from rich.progress import track

    from seg.datasets.converters import WRITERS, write_shapes
    from seg.datasets.converters.base import CLASSES

    writer = WRITERS[args.format]
    steps = write_shapes(
        writer,
        args.out,
        args.num,
        num_frames=args.num_frames,
        seed=args.seed,
        size=tuple(args.size),
    )
    console = Console(stderr=True)
    for _ in track(steps, f'Shapes as {args.format}', 2 * args.num, console=console):
        pass
    sys.stderr.write(f'{args.out}: {args.num} samples of train and of val\n')
    if writer.classes is not None:
        names = ', '.join(map('{} is {}'.format, CLASSES, writer.classes))
        sys.stderr.write(f'classes of {args.format} that stand for those of Shapes: {names}\n')


if __name__ == '__main__':
    run_main(main)
