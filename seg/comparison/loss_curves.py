"""How the losses of a task fall in trainings of one task and of several, side by side."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

_LOGS = '*/vis_data/scalars.json'  # below a work folder, one for each start of the training


class LossCurve(NamedTuple):
    """The loss of one task in one training.

    Attributes:
        name: Of the model.
        steps: Training steps of the task gone by at each point.
        losses: Sum of the task's weighted losses, mean over the last steps before the point.
    """

    name: str
    steps: Sequence[float]
    losses: Sequence[float]


def read_curve(folder: Path, name: str, task: str, share: float = 1.0) -> LossCurve:
    """The curve of a task from the logs in a work folder.

    Where a training was resumed, what was logged later counts.

    Args:
        folder: Of the training.
        name: Of the model.
        task: Whose losses; their names begin with it.
        share: Of the training's steps that are steps of the task.
    """
    losses: dict[int, float] = {}
    for path in sorted(folder.glob(_LOGS)):
        for line in path.read_text(encoding='utf-8').splitlines():
            logged: dict[str, Any] = json.loads(line)
            values = [value for key, value in logged.items() if _is_loss(key, task)]
            if values:
                losses[int(logged['step'])] = sum(values)
    steps = sorted(losses)
    return LossCurve(name, [share * step for step in steps], [losses[step] for step in steps])


def _is_loss(key: str, task: str) -> bool:
    """Whether a logged value is a loss of a task, and no score."""
    return key.startswith(f'{task}/') and 'loss' in key


def curves_picture(by_task: Mapping[str, Sequence[LossCurve]]) -> bytes:
    """One diagram for each task with the curves of all trainings, as PNG; models have colours."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.2 * -(-len(by_task) // 2)), dpi=120, layout='constrained')
    rows: Any = figure.subplots(-(-len(by_task) // 2), 2, squeeze=False)
    for axes in rows.flat[len(by_task) :]:
        axes.remove()
    names = list(dict.fromkeys(curve.name for curves in by_task.values() for curve in curves))
    lines: dict[str, Any] = {}
    for axes, (task, curves) in zip(rows.flat, by_task.items(), strict=False):
        for curve in curves:
            color = f'C{names.index(curve.name)}'
            (lines[curve.name],) = axes.plot(curve.steps, curve.losses, color=color)
        axes.set(title=task, xlabel='steps of the task', ylabel='loss')
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    figure.legend(
        list(lines.values()), list(lines), loc='outside upper center', ncols=2, frameon=False
    )
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png')
    return buffer.getvalue()
