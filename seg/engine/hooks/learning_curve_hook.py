"""The learning curve of a run as JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.hooks import Hook
from mmengine.runner import Runner

from seg.engine.hooks.training_clock import TrainingClock
from seg.registry import HOOKS
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.json_text import json_text


@HOOKS.register_module()
class LearningCurveHook(Hook):
    """Appends one JSON line per validation to ``learning_curve.jsonl`` in the work folder.

    Keys of a line: ``iteration``, ``cpu_minutes`` (this process and its workers), ``wall_minutes``
    and ``metrics`` (``null`` where there is no score). Minutes go on where an interrupted run
    stopped. A run that starts or resumes removes the lines of validations after the iteration that
    it starts from.

    Args:
        file_name: Name of the file.
    """

    priority = 'LOW'

    def __init__(self, file_name: str = 'learning_curve.jsonl') -> None:
        self.file_name = file_name
        self._clock = TrainingClock()

    def before_train(self, runner: Runner) -> None:
        """Start the clock and drop lines of a run that this one replaces."""
        self._clock.start(runner)
        self._keep_until(runner, runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Leave the minutes where checkpoints find them."""
        self._clock.record(runner)

    @master_only
    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Append a line, when validation is part of a training."""
        if not isinstance(runner._train_loop, dict | None):
            minutes = self._clock.minutes()
            line = {
                'iteration': runner.iter,
                'cpu_minutes': round(minutes['cpu'], 3),
                'wall_minutes': round(minutes['wall'], 3),
                'metrics': {k: float(v) for k, v in (metrics or {}).items() if _is_number(v)},
            }
            with open(Path(runner.work_dir) / self.file_name, 'a', encoding='utf-8') as file:
                file.write(json_text(line) + '\n')

    @master_only
    def _keep_until(self, runner: Runner, iteration: int) -> None:
        path = Path(runner.work_dir) / self.file_name
        if not path.is_file():
            return
        lines = [line for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
        kept = [line for line in lines if iteration and _iteration(line) <= iteration]
        write_bytes_atomically(path, ''.join(f'{line}\n' for line in kept).encode())


def _iteration(line: str) -> float:
    """The iteration of a line; a line cut short by a full disk or a kill lies at infinity."""
    try:
        return float(json.loads(line)['iteration'])
    except json.JSONDecodeError:
        return float('inf')


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, 'size', 0) == 1
