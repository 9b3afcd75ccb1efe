"""Measure training steps: seconds, peak memory, and the share of time that waits for data.

Every case trains on Shapes in a process of its own, so that memory is that case's.

Example:
    python tools/analysis_tools/bench_train.py --case nano r50_crops --workers 2 --json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.cli import run_main
from seg.utils.json_text import json_text

if TYPE_CHECKING:
    from mmengine.config import Config

CONFIGS = Path(__file__).resolve().parents[2] / 'configs' / 'rap_sam'
# Model, size (H, W) and frames of a sample, samples per step; without a size, those of the config.
CASES: dict[str, dict[str, Any]] = {
    'nano': dict(model='rap_sam_nano_quick_shapes.py', batch_size=8),
    'r50_crops': dict(model='rap_sam_r50_12e_adaptor.py', size=(256, 320), batch_size=2),
    'r50_full': dict(
        model='rap_sam_r50_12e_adaptor.py', size=(736, 1280), num_frames=2, batch_size=1
    ),
}


def parse_args() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument(
        '--case',
        nargs='+',
        choices=CASES,
        help='default: nano r50_crops, and r50_full where there is a GPU',
    )
    parser.add_argument('--iters', type=int, default=20, help='measured steps')
    parser.add_argument('--skip', type=int, default=5, help='steps before, which do not count')
    parser.add_argument('--workers', type=int, default=2, help='workers that load data')
    parser.add_argument('--amp', action='store_true', help='mixed precision')
    parser.add_argument('--json', action='store_true', help='print the numbers as JSON, last line')
    args = parser.parse_args()
    for name, least in (('iters', 1), ('skip', 0), ('workers', 0)):
        if getattr(args, name) < least:
            parser.error(f'--{name}: expected {least} or more, got {getattr(args, name)}')
    return args


def main() -> None:
    """Run the tool."""
    args = parse_args()
    if args.case and len(args.case) == 1:
        numbers = {args.case[0]: measure(args.case[0], args)}
    else:
        numbers = {case: measure_apart(case, args) for case in args.case or default_cases()}
    for case, result in numbers.items():
        sys.stderr.write(describe(case, result) + '\n')
    if args.json:
        print(json_text(numbers))


def default_cases() -> list[str]:
    """All cases, but those for a GPU only where there is one."""
    import torch

    return [case for case in CASES if case != 'r50_full' or torch.cuda.is_available()]


def measure_apart(case: str, args: argparse.Namespace) -> dict[str, Any]:
    """Measure one case in a new process."""
    command = [sys.executable, __file__, '--case', case, '--json']
    for name in ('iters', 'skip', 'workers'):
        command += [f'--{name}', str(getattr(args, name))]
    done = subprocess.run(
        command + ['--amp'] * args.amp, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode:
        raise ValueError(f'--case {case}: expected it to run, got exit code {done.returncode}')
    return json.loads(done.stdout.splitlines()[-1])[case]


def measure(case: str, args: argparse.Namespace) -> dict[str, Any]:
    """Train some steps and say what they cost."""
    import torch

    from seg.engine.hooks import StepCostHook
    from seg.engine.hooks.step_cost_hook import peak_memory
    from seg.engine.launch import build_runner, set_mixed_precision

    cfg = config_of(case, args)
    if args.amp:
        set_mixed_precision(cfg)
    hook = StepCostHook(skip=args.skip)
    with tempfile.TemporaryDirectory() as folder:
        runner = build_runner(cfg, CONFIGS / CASES[case]['model'], folder)
        runner.register_hook(hook)
        runner.train()
    seconds = sorted(step.seconds for step in hook.steps)
    return {
        'device': torch.cuda.get_device_name() if torch.cuda.is_available() else 'cpu',
        'threads': torch.get_num_threads(),
        'batch_size': cfg.train_dataloader.batch_size,
        'steps': len(seconds),
        'seconds_per_step': sum(seconds) / len(seconds),
        'cpu_seconds_per_step': sum(step.cpu_seconds for step in hook.steps) / len(seconds),
        'median_seconds': seconds[len(seconds) // 2],
        'seconds_by_task': by_task(hook.steps),
        'waiting_share': sum(step.waiting for step in hook.steps) / sum(seconds),
        'peak_memory_bytes': peak_memory(),
    }


def by_task(steps: list[Any]) -> dict[str, float]:
    """Mean seconds of the steps of each task."""
    found: dict[str, list[float]] = {}
    for step in steps:
        found.setdefault(step.task, []).append(step.seconds)
    return {task: sum(seconds) / len(seconds) for task, seconds in sorted(found.items())}


def config_of(case: str, args: argparse.Namespace) -> Config:
    """The config of a case: its model and optimizer, Shapes as data, nothing but training."""
    from seg.engine.config_options import load_config
    from seg.engine.hooks import SteeringHook

    settings = CASES[case]
    cfg = load_config(CONFIGS / settings['model'])
    shapes = load_config(CONFIGS / 'rap_sam_nano_quick_shapes.py')
    cfg.train_dataloader = shapes.train_dataloader
    workers = dict(num_workers=args.workers, persistent_workers=args.workers > 0)
    cfg.train_dataloader.update(batch_size=settings['batch_size'], **workers)
    if 'size' in settings:
        use_large_shapes(cfg, settings['size'], settings.get('num_frames', 1))
    cfg.train_cfg = dict(by_epoch=False, max_iters=args.skip + args.iters)
    for part in ('val', 'test'):
        cfg[f'{part}_dataloader'] = cfg[f'{part}_evaluator'] = cfg[f'{part}_cfg'] = None
    cfg.custom_hooks = [dict(type=SteeringHook)]
    cfg.param_scheduler = cfg.visualizer = None
    cfg.auto_scale_lr = None
    cfg.default_hooks.update(val_pictures=None, learning_curve=None, progress=None)
    cfg.default_hooks.checkpoint.update(interval=-1, save_last=False, save_best=None)
    return cfg


def use_large_shapes(cfg: Config, size: tuple[int, int], num_frames: int) -> None:
    """Shapes of another size for a published model, which has to know their classes."""
    for source in cfg.train_dataloader.dataset.sources.values():
        source.update(size=size, num_frames=num_frames)
    cfg.model.data_preprocessor.pad_size = size
    cfg.model.backbone.pop('init_cfg')
    cfg.model.head.update(num_things=8, num_stuff=3)
    cfg.model.head.classifier.embedding_file = None


def describe(case: str, result: dict[str, Any]) -> str:
    """One line for people."""
    tasks = ', '.join(f'{task} {value:.3f} s' for task, value in result['seconds_by_task'].items())
    return (
        f'{case}: {result["seconds_per_step"]:.3f} s per step of {result["batch_size"]} samples '
        f'({tasks}), {result["peak_memory_bytes"] / 2**30:.2f} GiB at most, '
        f'{result["waiting_share"]:.1%} of the time waiting for data, on {result["device"]}'
    )


if __name__ == '__main__':
    run_main(main)
