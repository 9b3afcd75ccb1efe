"""The learning curve of a run as JSON lines."""

from __future__ import annotations

import json
import multiprocessing
import os
import resource
import time
from pathlib import Path
from typing import Any

from mmengine.dist import is_main_process
from mmengine.hooks import Hook
from mmengine.runner import Runner

from seg.registry import HOOKS


def cpu_seconds() -> float:
    """CPU time of this process and the workers it started, finished or running, in seconds."""
    finished = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = time.process_time() + finished.ru_utime + finished.ru_stime
    return total + sum(_process_seconds(child.pid) for child in multiprocessing.active_children())


def _process_seconds(pid: int | None) -> float:
    """CPU time of a running process where ``/proc`` tells it, else 0."""
    stat = Path(f'/proc/{pid}/stat')
    if not stat.is_file():
        return 0.0
    fields = stat.read_text().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


@HOOKS.register_module()
class LearningCurveHook(Hook):
    """Appends one JSON line per validation to ``learning_curve.jsonl`` in the work folder.

    Keys of a line: ``iteration``, ``cpu_minutes`` (this process and its workers), ``wall_minutes``
    and ``metrics``. Minutes go on where an interrupted run stopped, and a resumed run removes the
    lines that lie after the iteration it starts from.
    """

    priority = 'LOW'
    file_name = 'learning_curve.jsonl'

    def __init__(self) -> None:
        self._cpu_before = 0.0
        self._wall_before = 0.0
        self._cpu_start = 0.0
        self._wall_start = 0.0

    def before_train(self, runner: Runner) -> None:
        """Start the clocks and drop lines of a run that this one replaces."""
        self._cpu_start, self._wall_start = cpu_seconds(), time.monotonic()
        spent = runner.message_hub.get_info('training_minutes', None) if runner.iter else None
        if spent:
            self._cpu_before, self._wall_before = spent['cpu'], spent['wall']
        if is_main_process():
            self._keep_until(runner, runner.iter)

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """Leave the minutes where checkpoints find them."""
        if batch_idx % 10 == 9 or runner.iter + 1 >= runner.max_iters:
            runner.message_hub.update_info('training_minutes', self._minutes())

    def after_val_epoch(self, runner: Runner, metrics: dict[str, float] | None = None) -> None:
        """Append a line."""
        if not is_main_process() or runner.iter == 0:
            return
        minutes = self._minutes()
        line = {
            'iteration': runner.iter,
            'cpu_minutes': round(minutes['cpu'], 3),
            'wall_minutes': round(minutes['wall'], 3),
            'metrics': {k: float(v) for k, v in (metrics or {}).items() if _is_number(v)},
        }
        with open(Path(runner.work_dir) / self.file_name, 'a', encoding='utf-8') as file:
            file.write(json.dumps(line) + '\n')

    def _minutes(self) -> dict[str, float]:
        return {
            'cpu': self._cpu_before + (cpu_seconds() - self._cpu_start) / 60,
            'wall': self._wall_before + (time.monotonic() - self._wall_start) / 60,
        }

    def _keep_until(self, runner: Runner, iteration: int) -> None:
        path = Path(runner.work_dir) / self.file_name
        if not path.is_file():
            return
        lines = [line for line in path.read_text(encoding='utf-8').splitlines() if line.strip()]
        kept = [line for line in lines if json.loads(line)['iteration'] <= iteration]
        path.write_text(''.join(f'{line}\n' for line in kept if iteration), encoding='utf-8')


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) or getattr(value, 'size', 0) == 1
