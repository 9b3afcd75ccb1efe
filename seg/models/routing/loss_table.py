"""The table of loss weights per task, the only place where a loss meets its weight."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from seg.structures import Task
from seg.utils.checks import unknown_name_message

LOSS_NAMES = ('cls', 'mask', 'dice', 'iou', 'semantic')

DEFAULT_TASK_LOSS_WEIGHTS: dict[str, dict[str, float]] = {
    'panoptic': dict(cls=2.0, mask=5.0, dice=5.0),
    'interactive_image': dict(cls=1.0, mask=5.0, dice=5.0, iou=10.0),
}


class TaskLossTable:
    """Weights of raw losses per task; what is not named weighs zero and is not computed.

    Args:
        weights: Task name -> {loss name: weight}, see :data:`LOSS_NAMES`.

    Raises:
        ValueError: For unknown tasks or losses and negative weights, when the table is built.
    """

    def __init__(self, weights: Mapping[str, Mapping[str, float]]) -> None:
        self._rows: dict[Task, dict[str, float]] = {}
        for task_name, row in weights.items():
            for loss, weight in row.items():
                if loss not in LOSS_NAMES:
                    raise ValueError(
                        f'task_loss_weights[{task_name!r}]: '
                        + unknown_name_message('loss', loss, LOSS_NAMES)
                    )
                if weight < 0:
                    raise ValueError(
                        f'task_loss_weights[{task_name!r}][{loss!r}]: expected a weight >= 0, '
                        f'got {weight}'
                    )
            self._rows[Task.parse(task_name)] = {k: float(v) for k, v in row.items() if v > 0}

    def wanted(self, task: Task) -> frozenset[str]:
        """Names of the losses that the task trains with.

        Raises:
            ValueError: If the table has no row for the task.
        """
        if task not in self._rows:
            known = [str(t) for t in self._rows]
            raise ValueError('task_loss_weights: ' + unknown_name_message('task', str(task), known))
        return frozenset(self._rows[task])

    def trains(self, loss: str) -> bool:
        """Whether any task trains with a loss."""
        return any(loss in row for row in self._rows.values())

    def apply(self, task: Task, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Weigh raw losses, once.

        Args:
            task: The task that produced them.
            raw: ``'mask'`` or, from an auxiliary stage, ``'d0.mask'`` -> scalar.

        Returns:
            ``'panoptic/d0.loss_mask'`` and the like -> weighted scalar.
        """
        weighted = {}
        for name, value in raw.items():
            stage, _, loss = name.rpartition('.')
            prefix = f'{stage}.' if stage else ''
            weighted[f'{task}/{prefix}loss_{loss}'] = self._rows[task][loss] * value
        return weighted
