"""Write a trained model as a file that other programs read.

Examples:
    python tools/export_weights.py configs/sam/sam_vitb_folders_lora.py work_dirs/x/best.pth sam.pth
    python tools/export_weights.py CONFIG CHECKPOINT exported/ --format hf --half
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.cli import run_main


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='config that the model was trained with')
    parser.add_argument('checkpoint', type=Path, help='weights: .safetensors, .pth or .pt')
    parser.add_argument('out', type=Path, help='file to write, or folder for the format hf')
    parser.add_argument(
        '--format',
        default='sam',
        choices=['sam', 'sam-wrapped', 'safetensors', 'hf', 'efficient-sam'],
        help='sam: file of segment-anything; sam-wrapped: the same under model_state_dict; '
        'safetensors: the same names; hf: folder of transformers; efficient-sam: file of '
        'EfficientSAM (default: %(default)s)',
    )
    parser.add_argument('--half', action='store_true', help='write half precision')
    return parser.parse_args()


def main() -> None:
    """Write the file and report its size."""
    args = parse_arguments()
    from seg.apis import load_model
    from seg.apis.sam_export import export_sam
    from seg.utils.writable import check_writable_file

    if args.format != 'hf':
        check_writable_file(args.out, 'out')
    model = load_model(args.config, args.checkpoint, 'cpu')
    export_sam(model, args.out, args.format, args.half)
    written = args.out / 'model.safetensors' if args.format == 'hf' else args.out
    print(f'{written}: {written.stat().st_size / 1e6:.1f} MB')


if __name__ == '__main__':
    run_main(main)
