"""Write Shapes in the on-disk layout of a data set, to try readers and recipes without downloads.

Example:
    python tools/dataset_converters/shapes_to.py --format davis --out data/shapes_davis --num 20
    python tools/dataset_converters/shapes_to.py --format mixture --out data --num 20
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main

FORMATS = (
    'coco_panoptic',
    'coco_instance',
    'youtube_vis',
    'youtube_vis_2021',
    'davis',
    'vipseg',
    'cityscapes',
    'refcoco',
    'sa1b',
    'bdd100k',
    'folders',
    'mixture',
)


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--format',
        required=True,
        choices=FORMATS,
        help='layout to write; mixture: all that are trained on together, in folders below --out',
    )
    parser.add_argument('--out', required=True, type=Path, help='new or empty folder')
    parser.add_argument('--num', required=True, type=int, help='samples of each of train and val')
    parser.add_argument('--num-frames', type=int, default=8, help='frames of a video')
    parser.add_argument('--seed', type=int, default=0, help='which worlds')
    parser.add_argument(
        '--size', type=int, nargs=2, default=(128, 160), metavar=('H', 'W'), help='of the frames'
    )
    parser.add_argument(
        '--label-space',
        help='whose classes the files name, such as coco_panoptic: the first ones stand for those '
        'of Shapes (default: the classes of Shapes)',
    )
    return parser.parse_args()


def main() -> None:
    """Write the data set."""
    args = parse_args()
    if args.format == 'mixture':
        write_all(args)
        return
    from seg.datasets.converters import WRITERS, write_shapes
    from seg.datasets.converters.base import CLASSES, SHAPES_SPACE, stand_ins
    from seg.datasets.metainfo import find_label_space

    space = SHAPES_SPACE if args.label_space is None else find_label_space(args.label_space)
    writer = WRITERS[args.format]
    steps = write_shapes(
        writer,
        args.out,
        args.num,
        num_frames=args.num_frames,
        seed=args.seed,
        size=tuple(args.size),
        label_space=space,
    )
    run(steps, args, 2 * args.num)
    if space is not SHAPES_SPACE or writer.classes is not None:
        classes = writer.classes or [info.name for info in stand_ins(space)]
        names = ', '.join(map('{} is {}'.format, CLASSES, classes))
        sys.stderr.write(f'classes of {args.format} that stand for those of Shapes: {names}\n')


def write_all(args: argparse.Namespace) -> None:
    """Write all data sets that are trained on together.

    Raises:
        UserError: If an option was given that has no meaning here.
    """
    from seg.datasets.converters import MIXTURE, write_mixture
    from seg.utils.checks import UserError

    if args.label_space is not None or args.seed:
        raise UserError(
            '--format mixture: expected no --label-space and no --seed, as each data set has its '
            'own; leave them out'
        )
    steps = write_mixture(args.out, args.num, num_frames=args.num_frames, size=tuple(args.size))
    run(steps, args, 2 * args.num * len(MIXTURE))


def run(steps: Iterator[str], args: argparse.Namespace, total: int) -> None:
    """Write, behind a progress bar, and say what was written."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    for _ in track(steps, f'Shapes as {args.format}', total, console=console):
        pass
    sys.stderr.write(f'{args.out}: {args.num} samples of train and of val\n')


if __name__ == '__main__':
    run_main(main)
