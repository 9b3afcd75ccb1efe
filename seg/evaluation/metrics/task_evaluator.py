"""Several tasks evaluated in one pass, each by its own metrics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mmengine.evaluator import Evaluator

from seg.registry import EVALUATOR, METRICS
from seg.structures import ClipSample, Task


@EVALUATOR.register_module()
class TaskEvaluator(Evaluator):
    """Hands every sample to the metrics of the task that it declares.

    Args:
        metrics: Task name -> metric or list of metrics, as objects or configs.

    Raises:
        ValueError: If a task is unknown.
    """

    def __init__(self, metrics: Mapping[str, Any]) -> None:
        self._by_task: dict[Task, list[Any]] = {}
        for name, configs in metrics.items():
            rows = configs if isinstance(configs, Sequence) else [configs]
            self._by_task[Task.parse(name)] = [
                METRICS.build(row) if isinstance(row, Mapping) else row for row in rows
            ]
        super().__init__([metric for group in self._by_task.values() for metric in group])

    def process(self, data_samples: Sequence[ClipSample], data_batch: Any = None) -> None:
        """Count a batch.

        Args:
            data_samples: Predictions with their ground truth.
            data_batch: The batch that they come from; not used.

        Raises:
            ValueError: If a sample's task has no metrics here.
        """
        for sample in data_samples:
            task = sample.declared_task
            if task not in self._by_task:
                known = ', '.join(str(t) for t in self._by_task)
                raise ValueError(
                    f'TaskEvaluator: expected samples of {known}, got {task}; name metrics for '
                    'it or leave its data out'
                )
            for metric in self._by_task[task]:
                metric.process(None, [sample.to_dict()])
