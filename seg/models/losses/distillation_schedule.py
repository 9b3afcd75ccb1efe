"""How labels and teacher share a training, and how soft the teacher's answers are."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

from seg.registry import TASK_UTILS
from seg.utils.checks import UserError, unknown_name_message

_MODES = ('increase', 'decay', 'constant')
_NAMES = ('temperature', 'label_weight', 'teacher_weight')
Range = float | tuple[float, float]


class DistillationSettings(NamedTuple):
    """What holds at one moment of a training.

    Attributes:
        temperature: By which logits are divided before teacher and student are compared.
        label_weight: Weight of the losses against ground truth.
        teacher_weight: Weight of the losses against the teacher.
    """

    temperature: float
    label_weight: float
    teacher_weight: float


@TASK_UTILS.register_module()
class DistillationSchedule:
    """Settings as a function of the progress of a training, so resuming needs no state.

    With ``'increase'`` the three go from their first to their last number, by default as the
    EfficientSAM guide has it: temperature 4 to 1, labels 0.9 to 0.5, teacher 0.1 to 0.5. With
    ``'decay'`` the weights go the other way, so that the teacher helps early and labels decide,
    and the temperature as before. With ``'constant'`` nothing changes.

    Args:
        mode: ``'increase'``, ``'decay'`` or ``'constant'``.
        temperature: First and last number, or one number.
        label_weight: First and last number, or one number.
        teacher_weight: First and last number, or one number.
        hold: Share of the training before anything changes, in [0, 1).

    Raises:
        UserError: If a number is out of its range.
    """

    def __init__(
        self,
        mode: Literal['increase', 'decay', 'constant'] = 'constant',
        *,
        temperature: Range | None = None,
        label_weight: Range | None = None,
        teacher_weight: Range | None = None,
        hold: float = 0.1,
    ) -> None:
        if mode not in _MODES:
            raise UserError(unknown_name_message('DistillationSchedule.mode', mode, _MODES))
        if not 0 <= hold < 1:
            raise UserError(f'DistillationSchedule.hold: expected a share in [0, 1), got {hold}')
        fixed = mode == 'constant'
        defaults: list[Range] = [(4.0, 1.0), (0.9, 0.5), (0.1, 0.5)]
        if fixed:
            defaults = [4.0, 0.7, 0.3]
        given = (temperature, label_weight, teacher_weight)
        self.mode = mode
        self.hold = hold
        chosen: list[Range] = [
            default if value is None else value
            for value, default in zip(given, defaults, strict=True)
        ]
        self.ranges = {
            name: _as_range(name, value, fixed) for name, value in zip(_NAMES, chosen, strict=True)
        }
        if max(self.ranges['teacher_weight']) == 0:
            raise UserError(
                'DistillationSchedule.teacher_weight: expected more than 0 at some time, got '
                f'{teacher_weight}; train the student without a Distiller'
            )
        if min(self.ranges['temperature']) <= 0:
            raise UserError('DistillationSchedule.temperature: expected more than 0, got '
                            f'{temperature}')  # fmt: skip

    def at(self, progress: float) -> DistillationSettings:
        """The settings at some progress in [0, 1]."""
        share = min(1.0, max(0.0, (progress - self.hold) / (1 - self.hold)))
        values = {}
        for name, (first, last) in self.ranges.items():
            backwards = self.mode == 'decay' and name != 'temperature'
            start, end = (last, first) if backwards else (first, last)
            values[name] = start + (end - start) * share
        return DistillationSettings(**values)

    @property
    def is_constant(self) -> bool:
        """Whether nothing changes."""
        return all(first == last for first, last in self.ranges.values())


def _as_range(name: str, value: Range, fixed: bool) -> tuple[float, float]:
    pair = tuple(value) if isinstance(value, tuple | list) else (value, value)
    wrong = len(pair) != 2 or not all(0 <= number < math.inf for number in pair)
    if wrong or (fixed and pair[0] != pair[1]):
        expected = 'one number of at least 0' if fixed else 'one or two numbers of at least 0'
        raise UserError(
            f'DistillationSchedule.{name}: expected {expected}, got {value}; mode says whether '
            'it changes'
        )
    return float(pair[0]), float(pair[1])
