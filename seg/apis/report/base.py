"""The report card's table of tasks."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import torch
from mmengine.evaluator import BaseMetric

from seg.apis.shapes_samples import PackedSample
from seg.structures import ClipSample, Task
from seg.utils.checks import UserError, unknown_name_message


class TaskReport(ABC):
    """How one task is scored.

    Attributes:
        task: The task.
        keys: Pairs (name in the registered metric, name in the report card), the main one first;
            those that the metric does not give for a model are left out.
    """

    task: ClassVar[Task]
    keys: ClassVar[tuple[tuple[str, str], ...]]

    @abstractmethod
    def metric(self) -> BaseMetric:
        """The registered metric, new."""

    def predict(self, model: Any, packed: PackedSample) -> ClipSample:
        """The sample with the model's predictions."""
        with torch.no_grad():
            batch = {'inputs': [packed.inputs], 'data_samples': [packed.sample]}
            (sample,) = model.test_step(batch)
        return sample

    @abstractmethod
    def add_baseline(self, packed: PackedSample, sample: ClipSample) -> None:
        """Write the predictions of the trivial baseline into ``sample``.

        Args:
            packed: What the model gets.
            sample: Ground truth and prompts of the same image, without predictions.
        """


REPORT_TASKS: dict[Task, TaskReport] = {}


def report_task(cls: type[TaskReport]) -> type[TaskReport]:
    """Class decorator that puts a task on the report card."""
    assert cls.task not in REPORT_TASKS, f'two reports for the task {cls.task}'
    REPORT_TASKS[cls.task] = cls()
    return cls


def find_report_task(name: str) -> TaskReport:
    """The report of a task.

    Raises:
        UserError: If there is none.
    """
    names = [task.value for task in REPORT_TASKS]
    if name not in names:
        raise UserError(unknown_name_message('task', name, names))
    return REPORT_TASKS[Task(name)]
