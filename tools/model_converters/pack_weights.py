"""Pack a checkpoint of training for shipping: weights alone, in half precision, as safetensors."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('checkpoint', type=Path, help='checkpoint of tools/train.py')
    parser.add_argument('out', type=Path, help='file to write, .safetensors')
    parser.add_argument('--full', action='store_true', help='keep single precision')
    return parser.parse_args()


def main() -> None:
    """Write the file and report its size."""
    args = parse_arguments()
    from seg.models.deployment import pack_weights

    count = pack_weights(args.checkpoint, args.out, half=not args.full)
    print(f'{args.out}: {count} tensors, {args.out.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    run_main(main)
