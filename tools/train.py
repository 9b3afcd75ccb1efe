"""Train a model.

Example:
    python tools/train.py configs/rap_sam/rap_sam_nano_quick_shapes.py --work-dir work_dirs/nano
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.cli import run_main

if TYPE_CHECKING:
    from mmengine.config import Config


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description='Train a model. Checkpoints, curves and logs go to the work folder.'
    )
    parser.add_argument('config', type=Path, help='config file')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/NAME_OF_CONFIG')
    parser.add_argument('--seed', type=seed_of, help='seed of all random numbers')
    parser.add_argument('--amp', action='store_true', help='mixed precision, on GPU or CPU')
    parser.add_argument(
        '--auto-scale-lr', action='store_true', help='scale the learning rate to the batch size'
    )
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='PATH',
        help='continue from a checkpoint, by default from the last one in the work folder',
    )
    parser.add_argument(
        '--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help='changes to the config'
    )
    parser.add_argument('--launcher', choices=['none', 'pytorch', 'slurm', 'mpi'], default='none')
    parser.add_argument('--local-rank', '--local_rank', type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def seed_of(text: str) -> int:
    """A seed, which NumPy wants to be from 0 to 2**32 - 1."""
    if not text.isdecimal() or int(text) >= 2**32:
        raise argparse.ArgumentTypeError(f'expected a number from 0 to {2**32 - 1}, got {text!r}')
    return int(text)


def main() -> None:
    """Train as the command line says."""
    args = parse_args()
    from seg.engine.config_options import load_config
    from seg.engine.launch import build_runner, set_auto_scale_lr, set_mixed_precision

    # Before the options, which may say something about it.
    cfg = load_config(args.config, args.cfg_options, set_mixed_precision if args.amp else None)
    if args.seed is not None:
        cfg['randomness'] = {**cfg.get('randomness', {}), 'seed': args.seed}
    if args.auto_scale_lr:
        set_auto_scale_lr(cfg)
    set_resume(cfg, args.resume)
    runner = build_runner(cfg, args.config, args.work_dir, args.launcher)
    runner.train()


def set_resume(cfg: Config, resume: str | None) -> None:
    """Put what ``--resume`` says into the config."""
    if resume is None:
        return
    cfg['resume'] = True
    cfg['load_from'] = None
    if resume == 'auto':
        return
    if not Path(resume).is_file():
        raise FileNotFoundError(f'--resume {resume}: expected a checkpoint file, found none there')
    cfg['load_from'] = resume


if __name__ == '__main__':
    run_main(main)
