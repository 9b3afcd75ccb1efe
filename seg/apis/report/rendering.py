"""The report card as a page of Markdown with pictures."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from seg.apis.report.base import TaskReport
from seg.apis.report.evaluation import TaskResult
from seg.apis.report.tasks import REPORT_TASKS
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError
from seg.visualization import SegmentVisualizer, contact_sheet, write_picture

CURVE_FILE = 'learning_curve.jsonl'


class ReportPage:
    """Collects the parts of the page; :meth:`write` writes it last, after its pictures.

    Args:
        folder: Where the page and its pictures go.
        title: What was scored.
    """

    def __init__(self, folder: Path, title: str) -> None:
        self.folder = folder
        self.lines = [f'# {title}', '']

    def add_scores(self, results: Mapping[str, TaskResult]) -> None:
        """A table of all scores beside the baseline's."""
        rows = [
            (section, name, shown_score(score), shown_score(result.baseline[name]))
            for section, result in results.items()
            for name, score in result.model.items()
        ]
        self._add_table(('task', 'metric', 'model', 'trivial baseline'), rows)

    def add_note(self, text: str) -> None:
        """A paragraph."""
        self.lines += [text, '']

    def add_statistics(self, statistics: Mapping[str, Mapping[str, Any]]) -> None:
        """A table of how hard the data is."""
        self.lines += ['## How hard Shapes is', '']
        rows = [
            (name.replace('_', ' '), f'{row["value"]:.3g}', row['target'])
            for name, row in statistics.items()
        ]
        self._add_table(('statistic', 'value', 'definition'), rows)

    def add_curve(self, curve: Path) -> None:
        """The learning curve of the run.

        Raises:
            UserError: If a line of the file is broken.
        """
        self.lines += ['## Learning curve', '']
        picture = self.folder / 'learning_curve.png'
        write_bytes_atomically(picture, curve_picture(read_curve(curve)))
        self._add_picture('learning curve', picture)

    def add_samples(self, model: Any, samples: Any, report: TaskReport, result: TaskResult) -> None:
        """The best, median and worst samples of a section."""
        visualizer = SegmentVisualizer(show_scores=True)

        def draw(index: int) -> np.ndarray:
            packed = samples[index]
            sample = report.predict(model, packed)
            return report.draw(packed, sample, samples.metainfo, visualizer)

        self.lines += [f'## {report.name}', '']
        main_score = next(iter(result.model))
        for group, indices in _extremes(result.ranking(), report.num_shown).items():
            captions = [f'sample {i}: {main_score} {result.per_sample[i]:.1f}' for i in indices]
            sheet = contact_sheet([draw(i) for i in indices], 1, captions, report.sheet_width)
            path = write_picture(self.folder / f'{report.name}_{group}.png', sheet)
            self.lines += [f'### {group} {_plural(len(indices))}', '']
            self._add_picture(f'{report.name}, {group} {_plural(len(indices))}', path)

    def write(self) -> Path:
        """Write the page.

        Returns:
            Its file.
        """
        path = self.folder / 'README.md'
        content = '\n'.join(self.lines).rstrip() + '\n'
        write_bytes_atomically(path, content.encode('utf-8'))
        return path

    def _add_table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        table = [head, ['---'] * len(head), *rows]
        self.lines += [f'| {" | ".join(row)} |' for row in table] + ['']

    def _add_picture(self, name: str, path: Path) -> None:
        self.lines += [f'![{name}]({path.relative_to(self.folder)})', '']


def read_curve(path: Path) -> list[dict[str, Any]]:
    """Lines of a learning curve, as :class:`~seg.engine.hooks.LearningCurveHook` writes them.

    Raises:
        UserError: If a line is broken.
    """
    lines = []
    for number, text in enumerate(path.read_text(encoding='utf-8').splitlines(), 1):
        try:
            line = json.loads(text)
            lines.append({'cpu_minutes': line['cpu_minutes'], 'metrics': line['metrics']})
        except (json.JSONDecodeError, KeyError, TypeError) as error:
            raise UserError(
                f'{path}, line {number}: expected JSON with cpu_minutes and metrics, got '
                f'{text[:60]!r}; remove the line'
            ) from error
    return lines


def curve_picture(lines: Sequence[Mapping[str, Any]]) -> bytes:
    """A plot of the main scores against CPU minutes, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=120, layout='constrained')
    axes = figure.subplots()
    for report in REPORT_TASKS.values():
        key, name = report.keys[0]
        points = [
            (line['cpu_minutes'], line['metrics'][key])
            for line in lines
            if line['metrics'].get(key) is not None
        ]
        if points:
            minutes, scores = zip(*points, strict=True)
            axes.plot(minutes, scores, marker='o', markersize=3, label=f'{report.name}: {name}')
    axes.set(xlabel='CPU minutes', ylabel='score (percent)', ylim=(0, 100))
    axes.grid(alpha=0.3)
    axes.spines[['top', 'right']].set_visible(False)
    if axes.lines:
        axes.legend(frameon=False, loc='lower right')
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png')
    return buffer.getvalue()


def shown_score(score: float) -> str:
    """A score with two decimals; a dash where there is none."""
    return '-' if math.isnan(score) else f'{score:.2f}'


def _plural(count: int) -> str:
    return 'sample' if count == 1 else 'samples'


def _extremes(ranking: Sequence[int], most: int) -> dict[str, list[int]]:
    """Which samples are shown: the first, middle and last of a ranking, ``most`` of each."""
    count = min(most, len(ranking))
    if not count:
        return {}
    middle = (len(ranking) - count) // 2
    return {
        'best': list(ranking[:count]),
        'median': list(ranking[middle : middle + count]),
        'worst': list(ranking[len(ranking) - count :]),
    }
