"""Train a model in stages, each from the checkpoint of the one before, and make it fast at the end.

The stages are the configs configs/rap_sam/stages/NAME_N_*.py. Those that are over are skipped and
one that was interrupted goes on, so the same command continues a plan. A config without train_cfg
trains nothing: the model is tested as trained and as used, and packed in half precision.

Example:
    python tools/train_stages.py nano --work-dir work_dirs/stages_nano
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    from mmengine.config import Config

_MOST_TIMES = 1_000_000
STAGES = Path(__file__).resolve().parent.parent / 'configs' / 'rap_sam' / 'stages'


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('name', help='such as nano: which configs of configs/rap_sam/stages')
    parser.add_argument('--work-dir', type=Path, help='default: work_dirs/stages_NAME')
    parser.add_argument(
        '--scale', type=float, default=1.0, help='times as many iterations in every stage'
    )
    parser.add_argument('--last', type=int, help='number of the last stage to run')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='N:KEY=VALUE',
        help='changes to the config of stage N, such as 3:train_cfg.max_iters=100',
    )
    return parser.parse_args()


def find_stages(name: str) -> list[Path]:
    """Configs of the stages, in order."""
    paths = sorted(STAGES.glob('*_[0-9]_*.py'))
    known = sorted({path.stem.split('_')[0] for path in paths})
    if name not in known:
        raise UserError(f'name: expected one of {", ".join(known)}, got {name!r}')
    return [path for path in paths if path.stem.split('_')[0] == name]


def options_by_stage(given: list[str], num_stages: int) -> dict[int, list[str]]:
    """Changes to the config of each stage."""
    chosen: dict[int, list[str]] = {stage: [] for stage in range(1, num_stages + 1)}
    for text in given:
        number, mark, option = text.partition(':')
        if not (mark and number.isdecimal() and int(number) in chosen):
            raise UserError(
                f'--cfg-options: expected N:KEY=VALUE with a stage N from 1 to {num_stages}, got '
                f'{text!r}'
            )
        chosen[int(number)].append(option)
    return chosen


def main() -> None:
    """Run the stages; what they were is the last line of standard output, as JSON."""
    args = parse_arguments()
    stages = find_stages(args.name)
    options = options_by_stage(args.cfg_options, len(stages))
    if args.last is not None and not 1 <= args.last <= len(stages):
        raise UserError(f'--last: expected a stage from 1 to {len(stages)}, got {args.last}')
    if not 0 < args.scale <= _MOST_TIMES:
        raise UserError(
            f'--scale: expected a number above 0, at most {_MOST_TIMES:,}, got {args.scale:g}'
        )
    from seg.engine.config_options import load_config
    from seg.utils.writable import check_writable_folder

    folder = args.work_dir or Path('work_dirs') / f'stages_{args.name}'
    checkpoint: Path | None = None
    report: list[dict[str, Any]] = []
    check_writable_folder(folder, '--work-dir')
    # All are read before the first one trains: a mistake in a late one is told at once.
    configs = [load_config(path, options[number]) for number, path in enumerate(stages, 1)]
    for path, cfg in zip(stages, configs, strict=True):
        check_stage(cfg, path)
        if trains(cfg):
            scale(cfg, args.scale)
    for path, cfg in list(zip(stages, configs, strict=True))[: args.last]:
        if not trains(cfg):
            if checkpoint is None:
                raise UserError(f'{path.name}: expected a stage before it, got none')
            report.append(deploy(cfg, path, checkpoint, folder / path.stem))
            continue
        entry, checkpoint = train(cfg, path, checkpoint, folder / path.stem)
        report.append(entry)
    print(json_text(report))


def trains(cfg: Config) -> bool:
    """Whether a stage is a training; else the model is tested."""
    return cfg.get('train_cfg') is not None


def check_stage(cfg: Config, path: Path) -> None:
    """Refuse a stage that can neither train nor test.

    Raises:
        UserError: If it cannot.
    """
    from seg.engine.finished_runs import OF_TRAININGS, check_settings

    of_tests = ('model', 'test_cfg', 'test_dataloader', 'test_evaluator')
    needed = {**OF_TRAININGS, 'train_cfg.max_iters': int}
    check_settings(cfg, path, needed if trains(cfg) else dict.fromkeys(of_tests, dict))


def scale(cfg: Config, factor: float) -> None:
    """Change how long a stage is, and with it when it is validated and saved and its rates fall.

    ``ClipSchedule.truth_steps`` is scaled as well. Warm-ups of hooks are shares of the training.
    """

    def scaled(count: int) -> int:
        return max(1, round(count * factor))

    train = cfg['train_cfg']
    for name in ('max_iters', 'val_interval'):
        if name in train:
            train[name] = scaled(train[name])
    saving = cfg['default_hooks'].get('checkpoint') or {}
    if 'interval' in saving:
        saving['interval'] = scaled(saving['interval'])
    for scheduler in cfg.get('param_scheduler') or ():
        for name in ('begin', 'end'):
            if scheduler.get(name):
                scheduler[name] = scaled(scheduler[name])
        if 'milestones' in scheduler:
            scheduler['milestones'] = [scaled(step) for step in scheduler['milestones']]
    schedule = cfg['model'].get('head', {}).get('clip_schedule') or {}
    if schedule.get('truth_steps'):
        schedule['truth_steps'] = scaled(schedule['truth_steps'])


def train(
    cfg: Config, path: Path, checkpoint: Path | None, folder: Path
) -> tuple[dict[str, Any], Path]:
    """Train one stage unless that was done."""
    from seg.engine.finished_runs import run_once

    run = run_once(cfg, path, folder, checkpoint)
    sys.stderr.write(f'{path.stem}: {"was over" if run.skipped else "done"}, {run.checkpoint}\n')
    entry = {
        'stage': path.stem,
        'checkpoint': str(run.checkpoint),
        'iterations': run.iterations,
        'minutes': run.minutes,
        'skipped': run.skipped,
    }
    return entry, run.checkpoint


def deploy(cfg: Config, path: Path, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Test the model as trained and as used, and pack it.

    Args:
        cfg: Of the stage.
        path: Of the stage's config.
        checkpoint: Weights.
        folder: Of the stage.
    """
    from seg.models.deployment import pack_weights

    plain = copy.deepcopy(cfg)
    plain['test_cfg'] = {**plain['test_cfg'], 'fp16': False}
    plain['custom_hooks'] = []
    tested = {
        'as_trained': test(plain, path, checkpoint, folder / 'as_trained'),
        'as_used': test(cfg, path, checkpoint, folder / 'as_used'),
    }
    packed = folder / 'weights.safetensors'
    pack_weights(checkpoint, packed)
    return {
        'stage': path.stem,
        'checkpoint': str(packed),
        'megabytes': packed.stat().st_size / 1e6,
        **tested,
    }


def test(cfg: Config, path: Path, checkpoint: Path, folder: Path) -> dict[str, Any]:
    """Metrics, and how long they took."""
    from seg.engine.launch import build_runner

    cfg['load_from'] = str(checkpoint)
    runner = build_runner(cfg, path, folder)
    wall, cpu = time.perf_counter(), time.process_time()
    metrics = runner.test()
    return {
        'metrics': metrics,
        'seconds': time.perf_counter() - wall,
        'cpu_seconds': time.process_time() - cpu,
    }


if __name__ == '__main__':
    run_main(main)
