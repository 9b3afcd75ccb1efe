"""Measuring what a training step costs."""

from __future__ import annotations

import resource
import sys
import time
from typing import Any, NamedTuple

import torch
from mmengine.hooks import Hook
from mmengine.runner import Runner

from seg.registry import HOOKS


class StepCost(NamedTuple):
    """One iteration.

    Attributes:
        task: Task of its batch.
        seconds: From asking for the batch to the end of the update.
        waiting: Seconds of these until the batch was there.
        cpu_seconds: Processor time of this process, all threads together; on a busy machine it
            says more.
    """

    task: str
    seconds: float
    waiting: float
    cpu_seconds: float


@HOOKS.register_module()
class StepCostHook(Hook):
    """Times iterations, and how long each waits for its data.

    It has the last word after an iteration, so other hooks count to the next one.

    Args:
        skip: Iterations at the beginning that do not count: caches fill, workers start.
    """

    priority = 'LOWEST'

    def __init__(self, skip: int = 5) -> None:
        self.skip = skip
        self.steps: list[StepCost] = []
        self._asked = self._got = self._used = 0.0
        self._task = ''

    def before_train_epoch(self, runner: Runner) -> None:
        """Start the clocks."""
        self._asked, self._used = time.perf_counter(), time.process_time()

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: Any = None) -> None:
        """The batch is there."""
        self._got = time.perf_counter()
        self._task = str(data_batch['data_samples'][0].declared_task)
        if runner.iter == self.skip and torch.cuda.is_available():
            torch.cuda.reset_peak_memory_stats()

    def after_train_iter(
        self,
        runner: Runner,
        batch_idx: int,
        data_batch: Any = None,
        outputs: dict[str, Any] | None = None,
    ) -> None:
        """The update is done."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        now, used = time.perf_counter(), time.process_time()
        if runner.iter >= self.skip:
            self.steps.append(
                StepCost(self._task, now - self._asked, self._got - self._asked, used - self._used)
            )
        self._asked, self._used = time.perf_counter(), time.process_time()


def peak_memory() -> int:
    """Bytes: the most that was allocated on the GPU, or without one that this process held."""
    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == 'darwin' else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
