"""Take the weights out of a training checkpoint: no optimizer, no counters, half the size or less.

Example:
    python tools/extract_model_weights.py work_dirs/x/best.pth weights.safetensors --half
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.cli import run_main


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('checkpoint', type=Path, help='what training wrote')
    parser.add_argument('out', type=Path, help='.safetensors file to write')
    parser.add_argument('--half', action='store_true', help='write half precision')
    return parser.parse_args()


def main() -> None:
    """Write the file and report sizes."""
    args = parse_arguments()
    from seg.utils.checkpoints import (
        read_checkpoint,
        read_dataset_meta,
        unwrap_state,
        write_safetensors,
    )
    from seg.utils.checks import UserError

    if args.out.suffix != '.safetensors':
        raise UserError(f'out: expected a name that ends with .safetensors, got {args.out}')
    content = read_checkpoint(args.checkpoint)
    state = unwrap_state(content, str(args.checkpoint))
    if args.half:
        state = {k: v.half() if v.is_floating_point() else v for k, v in state.items()}
    meta = read_dataset_meta(args.checkpoint, content)
    write_safetensors(args.out, state, None if meta is None else {'dataset_meta': meta})
    sizes = {'bytes_before': args.checkpoint.stat().st_size, 'bytes': args.out.stat().st_size}
    print(json.dumps({'tensors': len(state), **sizes}))


if __name__ == '__main__':
    run_main(main)
