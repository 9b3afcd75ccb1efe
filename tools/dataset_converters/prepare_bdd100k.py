"""Write BDD100K as NumPy files, for programs that read those.

Nothing in this package needs them: the configs read JPEG and PNG files, which are smaller by far
(a split of 7,000 images takes 88 GB as float32 and 22 GB with --uint8). As the guide does, images
and labels are stretched to a square; 255 stays 255, ignored.

Example:
    python tools/dataset_converters/prepare_bdd100k.py --bdd100k_root data/bdd100k \
        --output_path data/bdd100k_npy
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--bdd100k_root', type=Path, required=True)
    parser.add_argument('--output_path', type=Path, default=Path('data/bdd100k_npy'))
    parser.add_argument('--image_size', type=int, default=1024)
    parser.add_argument('--splits', nargs='+', default=['train', 'val'], choices=['train', 'val'])
    parser.add_argument('--uint8', action='store_true', help='images as bytes, not as [0, 1]')
    return parser.parse_args()


def main() -> None:
    """Write ``{split}/imgs`` and ``{split}/gts``."""
    args = parse_arguments()
    import cv2
    import numpy as np
    from rich.console import Console
    from rich.progress import track

    from seg.datasets import BDD100KDataset
    from seg.utils.checks import UserError

    if args.image_size < 1:
        raise UserError(f'--image_size: expected at least 1, got {args.image_size}')
    size = (args.image_size, args.image_size)
    readers = {
        split: BDD100KDataset(args.bdd100k_root, split, 'panoptic', []) for split in args.splits
    }
    needed = sum(map(len, readers.values())) * size[0] * size[1] * (4 if args.uint8 else 13)
    args.output_path.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(args.output_path).free
    if free < needed:
        raise UserError(
            f'--output_path {args.output_path}: expected {needed / 1e9:.1f} GB free, got '
            f'{free / 1e9:.1f} GB; use --uint8, a smaller --image_size, or read JPEG and PNG'
        )
    console = Console(stderr=True)
    for split, reader in readers.items():
        folders = [args.output_path / split / name for name in ('imgs', 'gts')]
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        for index in track(range(len(reader)), split, console=console):
            sample = reader.load(index)
            image = sample['clip'][0].permute(1, 2, 0).numpy()
            image = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
            labels = np.full(sample['clip'].shape[-2:], 255, dtype=np.uint8)
            for mask, label in zip(sample['masks'][:, 0], sample['labels'].tolist(), strict=True):
                labels[mask.numpy()] = label
            labels = cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST)
            values = image if args.uint8 else image.astype(np.float32) / 255
            np.save(folders[0] / f'{sample["img_id"]}.npy', values)
            np.save(folders[1] / f'{sample["img_id"]}.npy', labels)


if __name__ == '__main__':
    run_main(main)
