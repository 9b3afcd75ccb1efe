"""The table of loss weights per task, the only place where a loss meets its weight."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from torch import Tensor

from seg.structures import Task
from seg.utils.checks import UserError, unknown_name_message

LOSS_NAMES = (
    'cls',
    'mask',
    'dice',
    'iou',
    'panoptic',
    'semantic',
    'prompt_align',
    'text_visual',
    'temporal',
    'memory_align',
    'dpsr',
    'object_score',
    'distill',
)

_PROMPTED_IMAGE = dict(cls=1.0, mask=5.0, dice=5.0, iou=10.0, prompt_align=0.5, text_visual=0.3)

SEED_TASK_LOSS_WEIGHTS: dict[str, dict[str, float]] = {
    'interactive_image': _PROMPTED_IMAGE,
    'interactive_video': dict(_PROMPTED_IMAGE, temporal=1.0),
    'vos': dict(cls=1.0, mask=5.0, dice=5.0, dpsr=2.0, temporal=1.5, memory_align=1.0),
    'panoptic': dict(cls=2.0, mask=5.0, dice=5.0, panoptic=1.0),
}
"""The weights that the table started from; what a row does not name weighs zero."""

# What following objects through a video needs besides: masks are ranked and remembered by their
# predicted quality, and an object may be out of sight.
_ADDED: dict[str, dict[str, float]] = {
    'interactive_video': dict(memory_align=1.0, object_score=1.0),
    'vos': dict(iou=10.0, object_score=1.0),
}

# Settings of the head that losses need.
_PARTS = {'semantic': 'semantic_auxiliary'}

DEFAULT_TASK_LOSS_WEIGHTS: dict[str, dict[str, float]] = {
    task: {**dict.fromkeys(LOSS_NAMES, 0.0), **row, **_ADDED.get(task, {})}
    for task, row in SEED_TASK_LOSS_WEIGHTS.items()
}
"""The weights of a head that is not given any, as far as it has the parts that compute them."""


def check_task_loss_weights(weights: Mapping[str, Mapping[str, float]]) -> None:
    """Check a table of weights; nothing has to be built for it.

    Raises:
        UserError: For unknown tasks or losses, negative weights, and losses that a task cannot
            have.
    """
    for task_name, row in weights.items():
        where = f'task_loss_weights[{task_name!r}]'
        try:
            task = Task.parse(task_name)
        except ValueError as error:
            raise UserError(f'task_loss_weights: {error}') from None
        if not isinstance(row, Mapping):
            raise UserError(f'{where}: expected a dict of loss names and weights, got {row!r}')
        for loss, weight in row.items():
            if loss not in LOSS_NAMES:
                raise UserError(f'{where}: {unknown_name_message("loss", loss, LOSS_NAMES)}')
            if not _is_weight(weight):
                raise UserError(f'{where}[{loss!r}]: expected a finite weight >= 0, got {weight!r}')
            if loss == 'panoptic' and weight and task is not Task.PANOPTIC:
                raise UserError(
                    f'{where}[{loss!r}]: expected 0, since prompted objects make no panoptic map, '
                    f'got {weight}'
                )


def _is_weight(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return math.isfinite(value) and value >= 0


class TaskLossTable:
    """Weights of raw losses per task; what is not named weighs zero and is not computed.

    Args:
        weights: Task name -> {loss name: weight}, see :data:`LOSS_NAMES`.
        computed: Losses that the model has the parts for; all when left out.

    Raises:
        UserError: As :func:`check_task_loss_weights`, and for a weight of a loss that the model
            does not compute.
    """

    def __init__(
        self,
        weights: Mapping[str, Mapping[str, float]],
        computed: Collection[str] = LOSS_NAMES,
    ) -> None:
        check_task_loss_weights(weights)
        self._rows: dict[Task, dict[str, float]] = {}
        for task_name, row in weights.items():
            for loss, weight in row.items():
                if weight > 0 and loss not in computed:
                    part = _PARTS.get(loss, 'the part that computes it')
                    raise UserError(
                        f'task_loss_weights[{task_name!r}][{loss!r}]: expected 0 for a head '
                        f'without {part}, got {weight}; add it or drop the weight'
                    )
            self._rows[Task.parse(task_name)] = {k: float(v) for k, v in row.items() if v > 0}

    @classmethod
    def default(cls, computed: Collection[str]) -> TaskLossTable:
        """The default weights of the losses that a model has the parts for."""
        rows = DEFAULT_TASK_LOSS_WEIGHTS.items()
        return cls({task: {k: v for k, v in row.items() if k in computed} for task, row in rows})

    def wanted(self, task: Task) -> frozenset[str]:
        """Names of the losses that the task trains with.

        Raises:
            UserError: If the table has no row for the task.
        """
        if task not in self._rows:
            known = [str(t) for t in self._rows]
            raise UserError('task_loss_weights: ' + unknown_name_message('task', str(task), known))
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
