"""Show what joint training costs or gives each task: the joint model beside single-task twins.

Trains the joint model and a twin for every task, each with as many steps of the task as the joint
model has, scores all on the same validation samples, and takes paired bootstrap intervals of the
differences. Other joint models (--variants) are trained, too, and compared with the joint model, so
the table says what did it. What is done is kept in --out, and the same command goes on after a
stop.

A twin is the joint training with all other tasks taken out: settings and drawn samples are the
same (what a schedule counts over all steps, such as ClipSchedule.truth_steps, is not). Writes
table.json, table.md, table.png, and curves.png with the training losses of all models.

Example:
    python tools/analysis_tools/negative_transfer.py --out work_dirs/negative_transfer
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.number_flags import count_flag, seed_flag

if TYPE_CHECKING:
    from mmengine.config import Config

    from seg.comparison.loss_curves import LossCurve
    from seg.comparison.table import Comparison

JOINT = Path(__file__).resolve().parents[2] / 'configs/rap_sam/rap_sam_nano_joint_scratch_shapes.py'
TASKS = ('panoptic', 'interactive_image', 'vos', 'interactive_video')


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--joint', type=Path, default=JOINT, help='config of the joint model')
    parser.add_argument('--variants', type=Path, nargs='*', default=[], help='other joint models')
    parser.add_argument(
        '--without-twins', action='store_true', help='compare variants with the joint model alone'
    )
    parser.add_argument(
        '--beside-start',
        action='store_true',
        help='compare the joint model with the weights that load_from names, too',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder of runs and results')
    parser.add_argument('--tasks', nargs='+', choices=TASKS, default=list(TASKS))
    parser.add_argument('--seeds', type=seed_flag, nargs='+', default=[0, 1])
    parser.add_argument(
        '--iters', type=count_flag, help='of the joint model; default: of its config'
    )
    parser.add_argument(
        '--samples', type=count_flag, default=512, help='validation samples of each task'
    )
    parser.add_argument('--margin', type=float, default=0.5, help='points that a task may lose')
    parser.add_argument('--repeats', type=count_flag, default=2000, help='of the bootstrap')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help='changes to the joint config',
    )
    return parser.parse_args()


def main() -> None:
    """Train, score and compare; the table is the last line of standard output, as JSON."""
    args = parse_arguments()
    if not 0 <= args.margin < math.inf:
        raise UserError(f'--margin: expected a number of points, 0 or more, got {args.margin:g}')
    from seg.comparison.loss_curves import curves_picture
    from seg.comparison.table import compare, markdown_table, table_picture
    from seg.utils.atomic_write import write_bytes_atomically
    from seg.utils.writable import check_writable_folder

    check_writable_folder(args.out, '--out')
    check_plan(args)
    twins = {task: score_twin(args, task) for task in twin_tasks(args)}
    joint = score_joint(args, args.joint)
    variants = {path.stem: score_joint(args, path) for path in args.variants}
    pairs = [((args.joint.stem, joint), ('twin', twins))] if twins else []
    if args.beside_start:
        pairs += [((args.joint.stem, joint), ('start', score_start(args)))]
    pairs += [((name, scores), (args.joint.stem, joint)) for name, scores in variants.items()]
    rows: list[Comparison] = []
    for (first, of_first), (second, of_second) in pairs:
        for task in args.tasks:
            rows += compare(
                (first, of_first[task]),
                (second, of_second[task]),
                task=task,
                margin=args.margin,
                repeats=args.repeats,
            )
    result = {
        'samples': args.samples,
        'seeds': args.seeds,
        'rows': [asdict(row) for row in rows],
        'runs': trained_runs(args),
    }
    write_bytes_atomically(args.out / 'table.json', f'{json_text(result, indent=2)}\n'.encode())
    write_bytes_atomically(args.out / 'table.md', markdown_table(rows).encode())
    write_bytes_atomically(args.out / 'table.png', table_picture(rows, args.margin))
    write_bytes_atomically(args.out / 'curves.png', curves_picture(loss_curves(args)))
    sys.stderr.write(markdown_table(rows))
    print(json_text(result))


def check_plan(args: argparse.Namespace) -> None:
    """Refuse plans whose comparisons would say nothing.

    Raises:
        UserError: If something is named twice, nothing is compared, time rather than steps ends a
            training, its schedule counts steps, or a variant is no other model than the joint one
            or is not validated as it is.
    """
    from seg.comparison.sample_scoring import check_same_questions
    from seg.engine.hooks import TimeBudgetHook

    check_names(args)
    if args.without_twins and not (args.variants or args.beside_start):
        raise UserError(
            '--without-twins: expected --variants or --beside-start to compare the joint model '
            'with, got none'
        )
    joint = joint_config(args, args.joint)
    if args.beside_start and not Path(joint.get('load_from') or '').is_file():
        raise UserError(
            '--beside-start: expected --cfg-options load_from=FILE, got '
            f'{joint.get("load_from")!r}; without it models start from nothing'
        )
    plans = [(args.joint, joint)]
    plans += [(path, joint_config(args, path)) for path in args.variants]
    for path, cfg in plans:
        if any(hook['type'] is TimeBudgetHook for hook in cfg.get('custom_hooks') or ()):
            raise UserError(
                f'{path}: expected a training that ends after its steps, got a TimeBudgetHook, '
                'which may end it earlier; use a config without one'
            )
        if cfg.get('param_scheduler'):
            raise UserError(
                f'{path}: expected a schedule that goes by progress, such as CosineByProgressHook, '
                'got param_scheduler, whose steps a twin, which has fewer, would not reach'
            )
        check_same_questions((str(args.joint), joint), (str(path), cfg), args.tasks)
    for path, cfg in plans[1:]:
        changed = settings_that_differ(cfg.to_dict(), joint.to_dict())
        if not changed:
            raise UserError(
                f'{path}: expected other settings than those of {args.joint}, got the same; '
                'leave the variant out, or the option that makes it so'
            )
        sys.stderr.write(f'{path.stem} differs from {args.joint.stem} in {", ".join(changed)}\n')


def check_names(args: argparse.Namespace) -> None:
    """Refuse what is named twice, or would be kept under one name.

    Raises:
        UserError: If something is.
    """
    for name in ('seeds', 'tasks', 'variants'):
        given = getattr(args, name)
        if len(set(given)) < len(given):
            shown = ' '.join(map(str, given))
            raise UserError(f'--{name}: expected each one once, got {shown}')
    names = [path.stem for path in (args.joint, *args.variants)]
    names += [f'{args.joint.stem}_{task}' for task in twin_tasks(args)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f'--joint, --variants: expected configs of different names, as runs are kept by name, '
            f'got {", ".join(twice)} more than once; rename a copy'
        )


def settings_that_differ(first: Any, second: Any, prefix: str = '') -> list[str]:
    """Names of the settings in which two configs differ, as ``--cfg-options`` has them."""
    if not (isinstance(first, dict) and isinstance(second, dict)):
        return [] if first == second else [prefix]
    names = []
    for key in dict.fromkeys([*first, *second]):
        place = f'{prefix}.{key}' if prefix else str(key)
        if key in first and key in second:
            names += settings_that_differ(first[key], second[key], place)
        else:
            names.append(place)
    return names


def trained_runs(args: argparse.Namespace) -> list[dict[str, Any]]:
    """What each training of the plan took."""
    names = [path.stem for path in (args.joint, *args.variants)]
    names += [f'{args.joint.stem}_{task}' for task in twin_tasks(args)]
    runs = []
    for name in names:
        for seed in args.seeds:
            folder = args.out / 'runs' / f'{name}_seed{seed}'
            state = json.loads((folder / 'run.json').read_text(encoding='utf-8'))
            cost = {key: state[key] for key in ('iterations', 'minutes')}
            runs.append({'run': folder.name, **cost})
    return runs


def twin_tasks(args: argparse.Namespace) -> list[str]:
    """Tasks whose twins belong to the plan."""
    return [] if args.without_twins else list(args.tasks)


def joint_config(args: argparse.Namespace, path: Path) -> Config:
    """The config of a joint model, with a length in which every task has its exact share."""
    from seg.comparison.twins import set_length, whole_blocks
    from seg.engine.config_options import load_config
    from seg.engine.finished_runs import OF_TRAININGS, check_settings

    cfg = load_config(path, args.cfg_options)
    of_twins = {'train_dataloader.batch_sampler': dict, 'train_cfg.max_iters': int}
    check_settings(cfg, path, {**OF_TRAININGS, **of_twins})
    set_length(cfg, whole_blocks(cfg, args.iters or cfg.train_cfg['max_iters']))
    return cfg


def score_twin(args: argparse.Namespace, task: str) -> dict[str, list[Any]]:
    """Train the twin of a task with every seed and score its samples."""
    from seg.comparison.twins import single_task_twin
    from seg.structures import Task

    by_seed: list[tuple[str, dict[str, Any]]] = []
    for seed in args.seeds:
        cfg = single_task_twin(joint_config(args, args.joint), Task.parse(task))
        name = f'{args.joint.stem}_{task}'
        by_seed += run_and_score(args, cfg, (name, args.joint), seed, [task])
    return merge(by_seed)[task]


def score_joint(args: argparse.Namespace, path: Path) -> dict[str, dict[str, list[Any]]]:
    """Train a joint model with every seed and score the samples of all tasks."""
    by_seed: list[tuple[str, dict[str, Any]]] = []
    for seed in args.seeds:
        cfg = joint_config(args, path)
        by_seed += run_and_score(args, cfg, (path.stem, path), seed, args.tasks)
    return merge(by_seed)


def score_start(args: argparse.Namespace) -> dict[str, dict[str, list[Any]]]:
    """Score the weights that all models start from."""
    from seg.comparison.sample_scoring import score_samples

    cfg, folder = joint_config(args, args.joint), args.out / 'runs' / 'start'
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Path(cfg.load_from)
    scores = (
        (task, score_samples(cfg, checkpoint, task, args.samples, folder)) for task in args.tasks
    )
    return merge(scores)


def run_and_score(
    args: argparse.Namespace, cfg: Config, named: tuple[str, Path], seed: int, tasks: list[str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train one model with one seed unless that was done, and score samples of some tasks."""
    from seg.comparison.sample_scoring import score_samples
    from seg.comparison.twins import without_validation
    from seg.engine.finished_runs import run_once

    cfg['randomness'] = {**cfg.get('randomness', {}), 'seed': seed}
    name, path = named
    folder = args.out / 'runs' / f'{name}_seed{seed}'
    run = run_once(without_validation(cfg), path, folder)
    sys.stderr.write(f'{folder.name}: {"was over" if run.skipped else "done"}\n')
    for task in tasks:
        yield task, score_samples(cfg, run.checkpoint, task, args.samples, folder)


def loss_curves(args: argparse.Namespace) -> dict[str, list[LossCurve]]:
    """Task -> its training losses in every model, the joint ones first."""
    from seg.comparison.loss_curves import read_curve
    from seg.comparison.twins import steps_of_task
    from seg.structures import Task

    runs, curves = args.out / 'runs', {}
    for task in args.tasks:
        found = []
        for path in (args.joint, *args.variants):
            cfg = joint_config(args, path)
            share = steps_of_task(cfg, Task.parse(task)) / cfg.train_cfg['max_iters']
            found += [
                read_curve(runs / f'{path.stem}_seed{seed}', path.stem, task, share)
                for seed in args.seeds
            ]
        if not args.without_twins:
            found += [
                read_curve(runs / f'{args.joint.stem}_{task}_seed{seed}', 'twin', task)
                for seed in args.seeds
            ]
        curves[task] = found
    return curves


def merge(by_seed: Iterable[tuple[str, dict[str, Any]]]) -> dict[str, dict[str, list[Any]]]:
    """Task -> name of a score -> statistics of each seed."""
    merged: dict[str, dict[str, list[Any]]] = {}
    for task, statistics in by_seed:
        for name, values in statistics.items():
            merged.setdefault(task, {}).setdefault(name, []).append(values)
    return merged


if __name__ == '__main__':
    run_main(main)
