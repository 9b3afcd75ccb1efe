"""Scoring a model on one task of the report card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.evaluator import BaseMetric

from seg.apis.report.base import MAIN, Answers, TaskReport


@dataclass(frozen=True)
class TaskResult:
    """Scores of one task, in percent unless the metric is a count.

    Attributes:
        model: Name in the report card -> score of the model.
        baseline: The same of the trivial baseline.
        per_sample: The main score of each sample alone, by index; NaN where it has none.
    """

    model: dict[str, float]
    baseline: dict[str, float]
    per_sample: list[float]

    def ranking(self) -> list[int]:
        """Indices of the samples from the best to the worst."""
        scored = [i for i, score in enumerate(self.per_sample) if not math.isnan(score)]
        return sorted(scored, key=lambda index: (-self.per_sample[index], index))


def evaluate_task(model: Any, report: TaskReport, samples: Any) -> Iterator[TaskResult | None]:
    """Score a model as its task is predicted, by the registered metrics.

    Args:
        model: From :func:`~seg.apis.load_model`.
        report: The section.
        samples: Of ``report.samples``.

    Yields:
        ``None`` after each sample, so that progress can be shown, and the result at the end.
    """
    ours, trivial = _Judge(report, samples.metainfo), _Judge(report, samples.metainfo)
    per_sample = []
    for packed in samples:
        trivial.add(report.baseline(packed))
        per_sample.append(ours.add(report.answers(model, packed)))
        yield None
    scores, baseline = ours.scores(), trivial.scores()
    yield TaskResult(
        model=scores,
        baseline={name: baseline.get(name, math.nan) for name in scores},
        per_sample=per_sample,
    )


class _Judge:
    """The metrics of a section."""

    def __init__(self, report: TaskReport, metainfo: Mapping[str, Any]) -> None:
        self.report = report
        self.metainfo = metainfo
        self.metrics = self._new()
        self.count = 0

    def add(self, answers: Answers) -> float:
        """Judge one sample.

        Returns:
            Its main score alone; NaN where it has none.
        """
        alone = self._new()
        self.count += 1
        for run, sample in answers.items():
            content = sample.to_dict()
            for total, metric in zip(self.metrics[run], alone[run], strict=True):
                metric.process(None, [content])
                total.results += metric.results
        key, _ = self.report.keys[0]
        return _evaluate(alone[MAIN], 1).get(key, math.nan)

    def scores(self) -> dict[str, float]:
        """Name in the report card -> score; those of runs that no sample had are left out."""
        values: dict[str, float] = {}
        for metrics in self.metrics.values():
            values |= _evaluate([m for m in metrics if m.results], self.count)
        return {name: values[key] for key, name in self.report.keys if key in values}

    def _new(self) -> Mapping[str, Sequence[BaseMetric]]:
        runs = self.report.metrics()
        for metrics in runs.values():
            for metric in metrics:
                metric.dataset_meta = dict(self.metainfo)
        return runs


def _evaluate(metrics: Sequence[BaseMetric], num_samples: int) -> dict[str, float]:
    values: dict[str, float] = {}
    for metric in metrics:
        values |= {key: float(value) for key, value in metric.evaluate(num_samples).items()}
    return values
