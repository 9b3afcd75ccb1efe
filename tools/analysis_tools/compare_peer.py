"""Train two models for as many CPU minutes on the same data, and compare their panoptic quality.

By default the small RapSAM beside MMDetection's Mask2Former with its backbone, data and image
size. What is done is kept in --out, and the same command goes on after a stop. CPU time is that of
the process and its workers, so other work on the machine does not count.

Example:
    python tools/analysis_tools/compare_peer.py --out work_dirs/peer --cpu-minutes 60
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    from mmengine.config import Config

    from seg.engine.finished_runs import FinishedRun

PEERS = Path(__file__).resolve().parents[2] / 'configs' / 'peers'


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--ours', type=Path, default=PEERS / 'rap_sam_nano_shapes.py')
    parser.add_argument('--peer', type=Path, default=PEERS / 'mask2former_nano_shapes.py')
    parser.add_argument('--out', type=Path, required=True, help='folder of runs and results')
    parser.add_argument('--cpu-minutes', type=float, default=60, help='of each training')
    parser.add_argument('--samples', type=int, default=512, help='validation images')
    parser.add_argument('--seeds', type=int, nargs='+', default=[0])
    for name in ('ours', 'peer'):
        parser.add_argument(
            f'--{name}-options',
            nargs='+',
            default=[],
            metavar='KEY=VALUE',
            help='changes to this config',
        )
    return parser.parse_args()


def main() -> None:
    """Train, score and compare; the result is the last line of standard output, as JSON."""
    args = parse_arguments()
    if len(set(args.seeds)) < len(args.seeds):
        raise UserError(f'--seeds: expected each one once, got {" ".join(map(str, args.seeds))}')
    if args.samples < 1 or args.cpu_minutes <= 0:
        raise UserError(
            '--samples, --cpu-minutes: expected at least 1 and more than 0, got '
            f'{args.samples} and {args.cpu_minutes:g}'
        )
    from seg.comparison.sample_scoring import check_same_questions
    from seg.comparison.table import compare, markdown_table
    from seg.engine.config_options import load_config
    from seg.utils.atomic_write import write_bytes_atomically
    from seg.utils.writable import check_writable_folder

    check_writable_folder(args.out, '--out')
    plans = ((args.ours, args.ours_options), (args.peer, args.peer_options))
    ours, peer = ((str(path), load_config(path, options)) for path, options in plans)
    check_same_questions(ours, peer, ['panoptic'])
    runs: list[dict[str, Any]] = []
    scored = []
    for path, options in plans:
        statistics = []
        for seed in args.seeds:
            entry, values = train_and_score(args, path, options, seed)
            runs.append(entry)
            statistics.append(values)
        scored.append((path.stem, {'PQ': statistics}))
    rows = compare(*scored, task='panoptic', margin=0.0)
    result = {
        'cpu_minutes': args.cpu_minutes,
        'samples': args.samples,
        'rows': [asdict(row) for row in rows],
        'runs': runs,
    }
    write_bytes_atomically(args.out / 'peer.json', f'{json_text(result, indent=2)}\n'.encode())
    write_bytes_atomically(args.out / 'peer.md', markdown_table(rows).encode())
    sys.stderr.write(markdown_table(rows))
    print(json_text(result))


def train_and_score(
    args: argparse.Namespace, path: Path, options: list[str], seed: int
) -> tuple[dict[str, Any], Any]:
    """One model with one seed: what it cost, and the statistics of its PQ."""
    from seg.comparison.sample_scoring import score_samples
    from seg.comparison.twins import without_validation
    from seg.engine.config_options import load_config
    from seg.engine.finished_runs import run_once

    cfg = load_config(path, options)
    set_budget(cfg, path, args.cpu_minutes)
    cfg['randomness'] = {**cfg.get('randomness', {}), 'seed': seed}
    folder = args.out / 'runs' / f'{path.stem}_seed{seed}'
    run = run_once(without_validation(cfg), path, folder)
    statistics = score_samples(cfg, run.checkpoint, 'panoptic', args.samples, folder)
    return describe(cfg, folder.name, run), statistics['PQ']


def set_budget(cfg: Config, path: Path, minutes: float) -> None:
    """Train for some CPU minutes."""
    from seg.engine.hooks import TimeBudgetHook

    budgets = [hook for hook in cfg['custom_hooks'] if hook['type'] is TimeBudgetHook]
    if len(budgets) != 1:
        raise UserError(
            f'{path}: expected one TimeBudgetHook in custom_hooks, got {len(budgets)}; add '
            "dict(type=TimeBudgetHook, minutes=60, measure='cpu')"
        )
    budgets[0].update(minutes=minutes, measure='cpu')


def describe(cfg: Config, name: str, run: FinishedRun) -> dict[str, Any]:
    """What a training was, beside its score."""
    from seg.registry import MODELS

    parameters = sum(value.numel() for value in MODELS.build(cfg.model).parameters())
    return {
        'run': name,
        'parameters': parameters,
        'iterations': run.iterations,
        'minutes': run.minutes,
    }


if __name__ == '__main__':
    run_main(main)
