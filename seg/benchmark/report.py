"""Measured figures as Markdown and as a picture."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seg.utils.atomic_write import write_bytes_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def render(report: dict[str, Any]) -> str:
    """The report as Markdown."""
    machine = report['machine']
    ceiling = machine['roofline']
    lines = [
        f'{machine["name"]}, {machine["device"]}, {machine["threads"]} threads'
        f'{_of_others(machine["others"])}; {", ".join(_settings(report))}; ceilings '
        f'{ceiling["flops_per_second"] / 1e9:.0f} GFLOP/s and '
        f'{ceiling["bytes_per_second"] / 2**30:.1f} GiB/s',
        '',
        '| model | s per step | CPU s | frames/s | in a row | against the first | found | '
        'peak MiB | GFLOP | GiB moved | of the roofline | waits for a GPU |',
        '|---|---|---|---|---|---|---|---|---|---|---|---|',
    ]
    clock = _clock(report)
    first = report['results'][0][clock]['median']
    for row in report['results']:
        seconds, cpu = row['seconds'], row['cpu_seconds']
        name = row['name'] + (f' ({row["note"]})' if row['note'] else '')
        in_a_row, found = row['frames_per_second_in_a_row'], row['found']
        lines.append(
            f'| {name} | {seconds["median"]:.3f} ({seconds["min"]:.3f} to {seconds["max"]:.3f}) '
            f'| {cpu["median"]:.3f} | {row["frames_per_second"]:.2f} | '
            f'{"" if in_a_row is None else f"{in_a_row:.2f}"} | '
            f'{row[clock]["median"] / first:.2f} | {"" if found is None else f"{found:.1f}"} '
            f'| {row["peak_mib"]:.0f} | {row["gflops"]:.0f} | '
            f'{row["moved_gib"]:.2f} | {100 * row["share_of_roofline"]:.0f} % | '
            f'{sum(row["waits"].values())} |'
        )
    lines += ['', '| model | part | s | CPU s |', '|---|---|---|---|']
    for row in report['results']:
        for name, part in row['parts'].items():
            lines.append(
                f'| {row["name"]} | {name} | {part["seconds"]:.4f} | {part["cpu_seconds"]:.4f} |'
            )
    turns = {row['name']: row for row in report['in_turns']}
    if turns:
        base = turns[report['turns_against']]
        lines += ['', f'| in turns | s | CPU s | against {base["name"]} |', '|---|---|---|---|']
        for name, row in turns.items():
            lines.append(
                f'| {name} | {row["seconds"]:.4f} | {row["cpu_seconds"]:.4f} | '
                f'{row[clock] / base[clock]:.2f} |'
            )
    if report.get('agreement'):
        found = report['agreement']
        lines += [
            '',
            'Beside the plain reference with the same weights: masks within '
            f'{found["masks"]:.1e} and class logits within {found["logits"]:.1e} of the largest; '
            f'{100 * found["pixels"]:.4f} % of the cells of masks on the same side, '
            f'{100 * found["labels"]:.1f} % of the classes equal; of the map of '
            f'{found["segments"]} segments {100 * found["map"]:.4f} % of the pixels, by class and '
            'instance.',
        ]
    return '\n'.join(lines)


def _of_others(cores: float | None) -> str:
    return '' if cores is None else f', others kept {cores:.2f} cores busy'


def _settings(report: dict[str, Any]) -> list[str]:
    """What was measured, as far as it is not what is always measured."""
    height, width = report['size']
    flags = {
        'in 8 bits': report['int8'],
        'compiled': report['compiled'],
        'as a graph': report['graph'],
        'not fused': not report['fused'],
        'freed memory given back': report['gives_back'],
        f'{report["batch"]} frames a step': report['batch'] > 1,
    }
    return [report['dtype'], f'{height}x{width}', *(name for name, is_on in flags.items() if is_on)]


def write_report(report: dict[str, Any], folder: Path) -> None:
    """Write ``report.json``, ``report.md`` and ``report.png`` into a folder.

    Raises:
        OSError: If that fails.
    """
    _write(report, render(report), folder)
    plot_parts(report['results'], folder / 'report.png', _clock(report))


def write_video_report(report: dict[str, Any], text: str, folder: Path) -> None:
    """The same of a report on following objects, with its Markdown.

    Raises:
        OSError: If that fails.
    """
    _write(report, text, folder)
    plot_video(report, folder / 'report.png')


def _write(report: dict[str, Any], text: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_bytes_atomically(folder / 'report.json', json.dumps(report, indent=1).encode())
    write_bytes_atomically(folder / 'report.md', f'{text}\n'.encode())


def _clock(report: dict[str, Any]) -> str:
    """What is compared; see :meth:`~seg.benchmark.measuring.Took.on`."""
    return 'cpu_seconds' if report['machine']['device'].startswith('cpu') else 'seconds'


def plot_parts(results: Sequence[dict[str, Any]], path: Path, clock: str = 'cpu_seconds') -> None:
    """Draw seconds per step, a bar per result, by part.

    Args:
        results: Of a report.
        path: Of the picture.
        clock: ``'cpu_seconds'`` or ``'seconds'``.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 1.2 + 0.5 * len(results)), layout='constrained')
    axes = figure.add_subplot()
    names = [name for row in results for name in row['parts']]
    for name in dict.fromkeys(names):
        left = [_before(row['parts'], name, clock) for row in results]
        width = [row['parts'].get(name, {clock: 0.0})[clock] for row in results]
        axes.barh([row['name'] for row in results], width, left=left, label=name)
    axes.invert_yaxis()
    axes.set_xlabel('processor seconds per step' if clock == 'cpu_seconds' else 'seconds per step')
    axes.legend(fontsize='small')
    _save(figure, path, dpi=120)


def _save(figure: Figure, path: Path, dpi: int) -> None:
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=dpi, format='png')
    write_bytes_atomically(path, drawn.getvalue())


def plot_video(report: dict[str, Any], path: Path) -> None:
    """Draw time and memory over the frames of a video, and time over numbers of objects."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.2), layout='constrained')
    time, memory, objects = figure.subplots(1, 3)
    for row in report['long']:
        if row['curve']:
            frames, seconds, mib = zip(*row['curve'], strict=True)
            label = f'{row["objects"]} object' + 's' * (row['objects'] > 1)
            time.plot(frames, [1000 * value for value in seconds], label=label)
            memory.plot(frames, mib, label=label)
    rows = report['objects']
    counts, costs = [row['objects'] for row in rows], [1000 * row['seconds'] for row in rows]
    alone = [count * costs[0] / counts[0] for count in counts]
    objects.plot(counts, costs, marker='o', label='together')
    objects.plot(counts, alone, '--', label='one after another')
    milliseconds = 'processor ms per frame'
    for axes, xlabel, ylabel in (
        (time, 'frame', milliseconds),
        (memory, 'frame', 'resident MiB'),
        (objects, 'objects', milliseconds),
    ):
        highest = max((max(line.get_ydata()) for line in axes.lines), default=1)
        axes.set(xlabel=xlabel, ylabel=ylabel, ylim=(0, 1.25 * highest))
        if axes.lines:
            axes.legend(fontsize='small')
    _save(figure, path, dpi=110)


def _before(parts: dict[str, dict[str, float]], name: str, clock: str) -> float:
    """Where the bar of a part begins."""
    total = 0.0
    for other, part in parts.items():
        if other == name:
            return total
        total += part[clock]
    return total
