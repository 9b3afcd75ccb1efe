"""Draw samples of a config as they come out of the pipeline: frames, segments and prompts.

Every sample becomes a picture, and all of them one sheet, sheet.jpg.

Example:
    python tools/analysis_tools/browse_dataset.py configs/rap_sam/rap_sam_nano_shapes.py --num 6
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.writable import check_writable_folder

if TYPE_CHECKING:
    from seg.datasets import ClipDataset

SPLITS = ('train', 'val', 'test')


def parse_args() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('--split', choices=SPLITS, default='train')
    parser.add_argument('--num', type=int, default=6, help='samples of each data set of a mixture')
    parser.add_argument('--first', type=int, default=0, help='index of the first sample')
    parser.add_argument('--shuffle', action='store_true', help='random samples instead')
    parser.add_argument('--seed', type=int, default=0, help='of the shuffling and the pipeline')
    parser.add_argument('--columns', type=int, default=2, help='samples in a row of the sheet')
    parser.add_argument('--out-dir', type=Path, default=Path('outputs/browse'))
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config'
    )
    args = parser.parse_args()
    for name, least in (('num', 1), ('first', 0), ('seed', 0), ('columns', 1)):
        if getattr(args, name) < least:
            raise ValueError(f'--{name}: expected a number >= {least}, got {getattr(args, name)}')
    return args


def open_data_sets(args: argparse.Namespace) -> dict[str, ClipDataset]:
    """The data sets of the split by name."""
    from seg.datasets.checks import dataset_settings
    from seg.engine.config_options import load_config
    from seg.registry import DATASETS

    cfg = load_config(args.config, args.cfg_options)
    settings = dataset_settings(cfg, args.split)
    return {name: DATASETS.build(one) for name, one in settings.items()}


def chosen_indices(args: argparse.Namespace, size: int) -> list[int]:
    """Which samples of a data set to draw."""
    import numpy as np

    if args.first >= size:
        raise ValueError(f'--first: expected an index below {size}, got {args.first}')
    if args.shuffle:
        order = np.random.default_rng(args.seed).permutation(size)
        return order[: args.num].tolist()
    return list(range(args.first, min(args.first + args.num, size)))


def draw(args: argparse.Namespace) -> Iterator[tuple[str, Any, str]]:
    """Name, picture and caption of each sample."""
    from seg.datasets import SampleRef
    from seg.visualization import SegmentVisualizer
    from seg.visualization.sample_pictures import sample_caption, sample_picture

    visualizer = SegmentVisualizer(thing_alpha=0.35, stuff_alpha=0.3, min_size=320)
    for name, dataset in open_data_sets(args).items():
        meta = dataset.metainfo
        for index in chosen_indices(args, len(dataset)):
            packed = dataset[SampleRef(index, draw=index, seed=args.seed)]
            if not {'inputs', 'data_samples'} <= set(packed):
                raise ValueError(
                    f'{name}: expected a pipeline that ends with PackClip, got the keys '
                    f'{sorted(packed)}; add it'
                )
            sample = packed['data_samples']
            picture = sample_picture(
                packed['inputs'], sample, meta['classes'], meta['num_things'], visualizer
            )
            file = re.sub(r'\W+', '_', f'{name}_{index:06d}')
            yield file, picture, f'{name} #{index} · {sample_caption(sample)}'


def main() -> None:
    """Draw the pictures."""
    args = parse_args()
    check_writable_folder(args.out_dir, '--out-dir')
    from seg.visualization import contact_sheet, write_picture

    pictures, captions = [], []
    for name, picture, caption in draw(args):
        path = write_picture(args.out_dir / f'{name}.jpg', picture)
        sys.stderr.write(f'{path}: {caption}\n')
        pictures.append(picture)
        captions.append(caption)
    path = write_picture(
        args.out_dir / 'sheet.jpg', contact_sheet(pictures, args.columns, captions)
    )
    sys.stderr.write(f'{path}\n')


if __name__ == '__main__':
    run_main(main)
