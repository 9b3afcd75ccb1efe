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
    import torch

    from seg.utils.checkpoints import (
        read_checkpoint,
        read_dataset_meta,
        unwrap_state,
        write_safetensors,
    )
    from seg.utils.checks import UserError

    if args.out.suffix != '.safetensors':
        raise UserError(f'out: expected a name that ends in .safetensors, got {args.out}')
    content = read_checkpoint(args.checkpoint)
    meta = read_dataset_meta(args.checkpoint, content)
    if meta is None:
        raise UserError(
            f'{args.checkpoint}: expected class names (meta.dataset_meta), got none; take a '
            'checkpoint that tools/train.py wrote'
        )
    weights = unwrap_state(content, str(args.checkpoint))
    if not args.full:
        weights = {
            name: tensor.half() if tensor.dtype == torch.float32 else tensor
            for name, tensor in weights.items()
        }
    write_safetensors(args.out, weights, {'dataset_meta': meta})
    print(f'{args.out}: {len(weights)} tensors, {args.out.stat().st_size / 1e6:.2f} MB')


if __name__ == '__main__':
    run_main(main)
