"""Score a model on held-out Shapes, task by task, beside a trivial baseline.

Example:
    python tools/analysis_tools/report_card.py --seed 7 --json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from seg.utils.checks import UserError
from seg.utils.cli import run_main
from seg.utils.json_text import json_text
from seg.utils.writable import check_writable_folder

if TYPE_CHECKING:
    from seg.apis.report import ReportData, TaskReport, TaskResult

# Statistics of the data are cheaper than scores and need more samples to settle.
STATISTICS_PER_SAMPLE = 10


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description='Score a model (the embedded one by default) on held-out Shapes.',
        epilog='Scores are percentages, except NoC, which counts clicks. The samples come from '
        'validation worlds, which no training sees; seed 0 is the one that trainings choose '
        'their best checkpoint by.',
    )
    parser.add_argument('--config', help='config of a model of your own (with --checkpoint)')
    parser.add_argument('--checkpoint', help='weights to use with --config')
    parser.add_argument(
        '--tasks',
        nargs='+',
        metavar='TASK',
        help='panoptic, interactive_image, vos, interactive_video, vis, video_panoptic, identity; '
        'default: all that the model knows',
    )
    parser.add_argument('--seed', type=int, default=1, help='which world (default: 1)')
    parser.add_argument('--num', type=int, default=200, help='images per task (default: 200)')
    parser.add_argument(
        '--clips', type=int, default=12, help='clips per task on videos (default: 12)'
    )
    parser.add_argument(
        '--frames', type=int, default=48, help='frames of each clip, 24 or more (default: 48)'
    )
    parser.add_argument('--out', type=Path, metavar='DIR', help='write a page with pictures there')
    parser.add_argument(
        '--work-dir', type=Path, help='run whose learning curve is drawn; with --out'
    )
    parser.add_argument('--int8', action='store_true', help='linear layers in 8 bits (CPU)')
    parser.add_argument(
        '--bf16', action='store_true', help='the network in bfloat16, masks in float32'
    )
    parser.add_argument('--device', help='such as cpu or cuda:0; by default the GPU if any')
    parser.add_argument('--json', action='store_true', help='print JSON as the last line')
    return parser.parse_args()


def main() -> int:
    """Score, print, and write the page."""
    arguments = parse_arguments()
    check_arguments(arguments)
    import torch

    from seg.apis import load_model
    from seg.apis.model_zoo import DEFAULT_MODEL
    from seg.apis.report import ReportData
    from seg.apis.shapes_samples import check_knows_shapes
    from seg.benchmark.measuring import check_dtype
    from seg.datasets.shapes.statistics import shapes_statistics
    from seg.models.deployment import quantize
    from seg.utils.devices import device_of

    name = arguments.config or DEFAULT_MODEL
    model: Any = load_model(name, arguments.checkpoint, arguments.device)
    check_knows_shapes(model.dataset_meta)
    device = device_of(model)
    if arguments.bf16:
        check_dtype(device, 'bf16')
    if arguments.int8:
        model = quantize(model)
    reports = choose_reports(arguments.tasks, model)
    data = ReportData(arguments.num, arguments.clips, arguments.frames, arguments.seed)
    samples = {report.name: report.samples(model, data) for report in reports}
    with torch.autocast(device.type, torch.bfloat16, enabled=arguments.bf16):
        results = {report.name: run_task(model, report, samples[report.name]) for report in reports}
    world = next(iter(samples.values())).dataset.world
    statistics = shapes_statistics(world, STATISTICS_PER_SAMPLE * arguments.num)
    print_table(results)
    notes = notes_on(arguments.tasks, model)
    for note in notes:
        print(note)
    if arguments.out is not None:
        title = f'Report card: {Path(name).stem}, {sample_counts(reports, data)}'
        path = write_page(arguments, title, model, samples, results, statistics, notes)
        print(f'wrote {path}')
    if arguments.json:
        print(json_text(as_json(results, statistics)))
    return 0


def sample_counts(reports: Sequence[TaskReport], data: ReportData) -> str:
    """What was scored, in words."""
    from seg.apis.report.base import VideoReport

    parts = []
    if any(not report.of_videos for report in reports):
        parts.append(f'{data.num_images} images')
    factors = {report.clip_factor for report in reports if isinstance(report, VideoReport)}
    if factors:
        numbers = ' or '.join(str(factor * data.num_clips) for factor in sorted(factors))
        parts.append(f'{numbers} clips of {data.num_frames} frames')
    return f'{" and ".join(parts)} of seed {data.seed}'


def notes_on(names: list[str] | None, model: Any) -> list[str]:
    """What the card says about sections that it lacks."""
    from seg.apis.video_models import NO_VIDEO, has_memory

    return [NO_VIDEO] if names is None and not has_memory(model) else []


def check_arguments(arguments: argparse.Namespace) -> None:
    """Find mistakes before anything is loaded.

    Raises:
        UserError: With the first mistake.
    """
    if arguments.int8 and arguments.bf16:
        raise UserError(
            '--int8: expected it without --bf16, got both; layers in 8 bits take float32 alone'
        )
    if arguments.num < 1 or arguments.seed < 0:
        raise UserError(
            f'num, seed: expected --num >= 1 and --seed >= 0, got {arguments.num} and '
            f'{arguments.seed}'
        )
    if arguments.clips < 1 or arguments.frames < 24:
        raise UserError(
            'clips, frames: expected --clips >= 1 and --frames >= 24 (shorter clips have no '
            f'planned occlusion), got {arguments.clips} and {arguments.frames}'
        )
    if arguments.config is None and arguments.checkpoint is not None:
        raise UserError(
            f'config: expected the config that {arguments.checkpoint} was trained with, got none; '
            'add --config'
        )
    if arguments.out is not None:
        check_writable_folder(arguments.out, '--out')
    check_work_dir(arguments.work_dir, arguments.out)


def check_work_dir(work_dir: Path | None, out: Path | None) -> None:
    """Make sure that the learning curve that was asked for is there and has a page to be on.

    Raises:
        UserError: If it is not.
    """
    if work_dir is None:
        return
    if out is None:
        raise UserError(
            f'--work-dir {work_dir}: expected --out too, as the learning curve is drawn on the '
            'page; add --out DIR'
        )
    from seg.apis.report.rendering import CURVE_FILE

    if not (work_dir / CURVE_FILE).is_file():
        raise UserError(
            f'--work-dir {work_dir}: expected the folder of a run with {CURVE_FILE}, found none '
            'there; name the folder that tools/train.py wrote to'
        )


def choose_reports(names: list[str] | None, model: Any) -> list[TaskReport]:
    """The reports of these tasks, or of all that the model knows.

    Raises:
        UserError: If there is no such task, or the model was not trained for it.
    """
    from seg.apis.report import REPORT_TASKS, find_report_task

    trained = None if model.entry is None else model.entry.tasks
    known = {
        name: report
        for name, report in REPORT_TASKS.items()
        if (trained is None or report.task in trained) and report.fits(model)
    }
    if names is None:
        return list(known.values())
    reports = [find_report_task(name) for name in dict.fromkeys(names)]
    for report in reports:
        if report.name not in known:
            raise UserError(
                f'task: expected one that the model knows ({", ".join(known)}), got {report.name}'
            )
    return reports


def run_task(model: Any, report: TaskReport, samples: Any) -> TaskResult:
    """Score one task, with progress on standard error."""
    from rich.console import Console
    from rich.progress import track

    from seg.apis.report import evaluate_task

    console = Console(stderr=True)
    steps = track(
        evaluate_task(model, report, samples),
        description=report.name,
        total=len(samples),
        console=console,
        disable=not console.is_terminal,
    )
    *_, result = steps
    assert result is not None, 'the last step is the result'
    return result


def print_table(results: Mapping[str, TaskResult]) -> None:
    """All scores, one per line."""
    from seg.apis.report.rendering import shown_score

    print(f'{"task":20}{"metric":20}{"model":>8}{"baseline":>10}')
    for section, result in results.items():
        for name, score in result.model.items():
            baseline = shown_score(result.baseline[name])
            print(f'{section:20}{name:20}{shown_score(score):>8}{baseline:>10}')


def write_page(
    arguments: argparse.Namespace,
    title: str,
    model: Any,
    samples: Mapping[str, Any],
    results: Mapping[str, TaskResult],
    statistics: Mapping[str, Mapping[str, Any]],
    notes: Sequence[str],
) -> Path:
    """The page of Markdown with its pictures."""
    from seg.apis.report import REPORT_TASKS
    from seg.apis.report.rendering import CURVE_FILE, ReportPage

    page = ReportPage(arguments.out, title)
    page.add_scores(results)
    for note in notes:
        page.add_note(note)
    work_dir = arguments.work_dir
    if work_dir is None and arguments.checkpoint is not None:
        work_dir = Path(arguments.checkpoint).parent
    if work_dir is not None and (work_dir / CURVE_FILE).is_file():
        page.add_curve(work_dir / CURVE_FILE)
    for name, result in results.items():
        page.add_samples(model, samples[name], REPORT_TASKS[name], result)
    page.add_statistics(statistics)
    return page.write()


def as_json(
    results: Mapping[str, TaskResult], statistics: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """What ``--json`` prints; a score that does not exist is NaN here and ``null`` there."""

    def rounded(scores: Mapping[str, float]) -> dict[str, float]:
        return {k: round(v, 3) for k, v in scores.items()}

    return {
        **{name: rounded(result.model) for name, result in results.items()},
        'baseline': {name: rounded(result.baseline) for name, result in results.items()},
        'shapes': rounded({name: row['value'] for name, row in statistics.items()}),
    }


if __name__ == '__main__':
    run_main(main)
