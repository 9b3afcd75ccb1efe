"""Evaluate a model; the metrics are the last line of standard output, as JSON.

Example:
    python tools/test.py configs/rap_sam/rap_sam_nano_quick_shapes.py work_dirs/nano/best.pth
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.writable import check_writable_file, check_writable_folder


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Evaluate a model on the test set of a config. Prints the metrics as JSON.'
    )
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('checkpoint', type=Path, help='weights: .safetensors, .pth or .pt')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/NAME_OF_CONFIG')
    parser.add_argument('--out', type=Path, metavar='FILE', help='write the metrics there too')
    parser.add_argument(
        '--show-dir', type=Path, metavar='DIR', help='write pictures beside the ground truth there'
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    """Evaluate as the command line says."""
    args = parse_args()
    if not args.checkpoint.is_file():
        raise FileNotFoundError(
            f'checkpoint {args.checkpoint}: expected a file, found nothing there'
        )
    if args.out is not None:
        check_writable_file(args.out, '--out')
    if args.show_dir is not None:
        check_writable_folder(args.show_dir, '--show-dir')
    from mmengine.dist import is_main_process

    from seg.engine.config_options import load_config
    from seg.engine.hooks import ValPictureHook
    from seg.engine.launch import build_runner

    cfg = load_config(args.config, args.cfg_options)
    cfg['load_from'], cfg['resume'] = str(args.checkpoint), False
    runner = build_runner(cfg, args.config, args.work_dir, args.launcher)
    if args.show_dir is not None:
        runner.register_hook(ValPictureHook(out_dir=args.show_dir, max_samples=None))
    metrics = runner.test()
    if not is_main_process():
        return
    print(json_text(metrics), flush=True)
    if args.out is not None:
        from seg.utils.atomic_write import write_bytes_atomically

        write_bytes_atomically(args.out, f'{json_text(metrics, indent=2)}\n'.encode())


if __name__ == '__main__':
    run_main(main)
