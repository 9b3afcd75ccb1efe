"""How long a run has been training, over all its interruptions."""

from __future__ import annotations

import multiprocessing
import os
import time
from pathlib import Path

from mmengine.runner import Runner

_KEY = 'training_minutes'


class TrainingClock:
    """CPU and wall-clock minutes of a run; a resumed run goes on from what its checkpoint says."""

    def __init__(self) -> None:
        self._before = {'cpu': 0.0, 'wall': 0.0}
        self._start = self._now()

    def start(self, runner: Runner) -> None:
        """Start counting, at zero or where the checkpoint that is resumed from stood."""
        spent = runner.message_hub.get_info(_KEY, None) if runner.iter > 0 else None
        self._before = dict(spent) if spent else {'cpu': 0.0, 'wall': 0.0}
        self._start = self._now()

    def minutes(self) -> dict[str, float]:
        """Minutes so far: ``cpu`` (this process and its workers) and ``wall``."""
        now = self._now()
        return {key: self._before[key] + (now[key] - self._start[key]) / 60 for key in now}

    def record(self, runner: Runner) -> None:
        """Leave the minutes where checkpoints take them from."""
        runner.message_hub.update_info(_KEY, self.minutes())

    @staticmethod
    def _now() -> dict[str, float]:
        return {'cpu': cpu_seconds(), 'wall': time.monotonic()}


def cpu_seconds() -> float:
    """CPU time of this process and the workers it started, finished or running, in seconds."""
    times = os.times()
    finished = times.children_user + times.children_system
    running = sum(_process_seconds(child.pid) for child in multiprocessing.active_children())
    return time.process_time() + finished + running


def _process_seconds(pid: int | None) -> float:
    """CPU time of a running process where ``/proc`` tells it (Linux), else 0."""
    try:
        stat = Path(f'/proc/{pid}/stat').read_text(encoding='ascii', errors='replace')
    except OSError:
        return 0.0
    fields = stat.rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')
