"""What losses are divided by when several processes share a step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from mmengine.dist import is_distributed
from torch import Tensor
from torch import distributed as torch_dist

from seg.structures import Task

_TASKS = list(Task)


class StepAverages:
    """Averages counts over the processes that run the same task in a step.

    Processes may run different tasks, so every task takes part in the same single all-reduce, of
    one vector with a row per task. Dividing summed losses by these averages makes the mean of the
    processes' gradients what one process gets that goes through all their batches: batches of one
    task count as one large batch, and no task's weight depends on how many masks another one has.

    Args:
        names: Everything that may be counted, the same on all processes.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = tuple(names)

    def __call__(
        self, task: Task, counts: Mapping[str, Tensor | float], device: torch.device
    ) -> dict[str, Tensor]:
        """Average counts; every process must call this once per step.

        Args:
            task: The task of this process.
            counts: What was counted here, under some of the names.
            device: Where to compute.

        Returns:
            The same names -> scalar, float32.
        """
        table = torch.zeros(len(_TASKS), 1 + len(self.names), device=device)
        row = table[_TASKS.index(task)]
        row[0] = 1
        for name, count in counts.items():
            row[1 + self.names.index(name)] = count
        if is_distributed():
            torch_dist.all_reduce(table)
        return {name: row[1 + self.names.index(name)] / row[0] for name in counts}
