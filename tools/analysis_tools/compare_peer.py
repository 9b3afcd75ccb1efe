"""Train two models for as many CPU minutes on the same data, and compare their panoptic quality.

By default the small RapSAM beside MMDetection's Mask2Former with its backbone, data and image
size. What is done is kept in --out, and the same command goes on after a stop. CPU time is that of
the process and its workers, so other work on the machine does not count. A model that is not sure
of anything yet names nothing above the threshold of its config, and is scored with --thresholds at
lower ones as well.

Example:
    python tools/analysis_tools/compare_peer.py --out work_dirs/peer --cpu-minutes 60 \
        --thresholds 0.1 0.3 0.5
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.number_flags import count_flag, seed_flag

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
    parser.add_argument('--samples', type=count_flag, default=512, help='validation images')
    parser.add_argument('--seeds', type=seed_flag, nargs='+', default=[0])
    parser.add_argument(
        '--thresholds',
        type=float,
        nargs='+',
        default=[0.5],
        help='class scores above which queries become segments, in turns (default: 0.5)',
    )
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
    if not 0 < args.cpu_minutes < math.inf:
        raise UserError(f'--cpu-minutes: expected a number above 0, got {args.cpu_minutes:g}')
    if len(set(args.thresholds)) < len(args.thresholds) or not all(
        0 <= threshold < 1 for threshold in args.thresholds
    ):
        raise UserError(
            '--thresholds: expected numbers from 0 to below 1, each once, got '
            f'{" ".join(map(str, args.thresholds))}'
        )
    from seg.comparison.table import compare, markdown_table
    from seg.utils.atomic_write import write_bytes_atomically
    from seg.utils.writable import check_writable_folder

    check_writable_folder(args.out, '--out')
    plans = ((args.ours, args.ours_options), (args.peer, args.peer_options))
    check_plan(args)
    runs = []
    scored: dict[float, list[Any]] = {threshold: [] for threshold in args.thresholds}
    for path, options in plans:
        trained = [train(args, path, options, seed) for seed in args.seeds]
        runs += [describe(cfg, folder.name, run) for cfg, folder, run in trained]
        for threshold in args.thresholds:
            statistics = [score(*one, threshold, args.samples) for one in trained]
            scored[threshold].append((path.stem, {'PQ': statistics}))
    rows = [
        replace(row, score=f'{row.score} above {threshold:g}')
        for threshold, pair in scored.items()
        for row in compare(*pair, task='panoptic', margin=0.0)
    ]
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


def check_plan(args: argparse.Namespace) -> None:
    """Refuse, before anything is trained, two models that cannot be compared.

    Raises:
        UserError: If both have one name, are not trained on the same data or validated alike, or
            a config has no time budget or no threshold to set.
    """
    from seg.comparison.sample_scoring import check_same_questions
    from seg.engine.config_options import load_config
    from seg.engine.finished_runs import OF_TRAININGS, check_settings

    if args.ours.stem == args.peer.stem:
        raise UserError(
            f'--ours, --peer: expected configs of two names, as runs are kept by name, got '
            f'{args.ours.stem} twice; rename a copy of one'
        )
    ours, peer = (
        load_config(*plan)
        for plan in ((args.ours, args.ours_options), (args.peer, args.peer_options))
    )
    for path, cfg in ((args.ours, ours), (args.peer, peer)):
        check_settings(cfg, path, OF_TRAININGS)
        set_budget(cfg, path, args.cpu_minutes)
        if not set_threshold(cfg.model, args.thresholds[0]):
            raise UserError(
                f'{path}: expected an object_mask_thr in the model, got none; --thresholds are '
                'for panoptic models'
            )
    check_same_questions((str(args.ours), ours), (str(args.peer), peer), ['panoptic'])
    data = [
        json.dumps(cfg.train_dataloader['dataset'], sort_keys=True, default=str)
        for cfg in (ours, peer)
    ]
    if data[0] != data[1]:
        raise UserError(
            f'{args.peer}: expected the training data of {args.ours}, got others; give both the '
            'same train_dataloader.dataset'
        )


def train(
    args: argparse.Namespace, path: Path, options: list[str], seed: int
) -> tuple[Config, Path, FinishedRun]:
    """One model with one seed: its config, its folder and its training."""
    from seg.comparison.twins import without_validation
    from seg.engine.config_options import load_config
    from seg.engine.finished_runs import run_once

    cfg = load_config(path, options)
    set_budget(cfg, path, args.cpu_minutes)
    cfg['randomness'] = {**cfg.get('randomness', {}), 'seed': seed}
    folder = args.out / 'runs' / f'{path.stem}_seed{seed}'
    return cfg, folder, run_once(without_validation(cfg), path, folder)


def score(cfg: Config, folder: Path, run: FinishedRun, threshold: float, num_samples: int) -> Any:
    """The statistics of PQ, with queries above a threshold."""
    from seg.comparison.sample_scoring import score_samples

    set_threshold(cfg.model, threshold)
    kept_in = folder / f'above_{threshold:g}'
    kept_in.mkdir(exist_ok=True)
    return score_samples(cfg, run.checkpoint, 'panoptic', num_samples, kept_in)['PQ']


def set_threshold(settings: dict[str, Any], threshold: float) -> bool:
    """Set each ``object_mask_thr`` within the settings of a model; whether there was one."""
    found = 'object_mask_thr' in settings
    if found:
        settings['object_mask_thr'] = threshold
    for part in settings.values():
        if isinstance(part, dict):
            found |= set_threshold(part, threshold)
    return found


def set_budget(cfg: Config, path: Path, minutes: float) -> None:
    """Train for some CPU minutes."""
    from seg.engine.hooks import TimeBudgetHook

    budgets = [hook for hook in cfg.get('custom_hooks') or () if hook['type'] is TimeBudgetHook]
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
