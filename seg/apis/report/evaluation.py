"""Scoring a model on one task of the report card."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mmengine.evaluator import BaseMetric

from seg.apis.report.base import TaskReport
from seg.apis.shapes_samples import ShapesSamples
from seg.structures import ClipSample


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


def evaluate_task(
    model: Any, report: TaskReport, samples: ShapesSamples
) -> Iterator[TaskResult | None]:
    """Score a model as its task is predicted, by the registered metric.

    Yields:
        ``None`` after each sample, so that progress can be shown, and the result at the end.
    """
    ours, trivial = _new_metric(report, samples), _new_metric(report, samples)
    per_sample = []
    for packed in samples:
        plain = without_predictions(packed.sample)
        report.add_baseline(packed, plain)
        trivial.process(None, [plain.to_dict()])
        predicted = report.predict(model, packed).to_dict()
        ours.process(None, [predicted])
        alone = _new_metric(report, samples)
        alone.process(None, [predicted])
        per_sample.append(_scores(alone, report.keys[:1], 1)[report.keys[0][1]])
        yield None
    scores = _scores(ours, report.keys, len(samples))
    baseline = _scores(trivial, report.keys, len(samples))
    yield TaskResult(
        model=scores,
        baseline={name: baseline.get(name, math.nan) for name in scores},
        per_sample=per_sample,
    )


def without_predictions(sample: ClipSample) -> ClipSample:
    """A new sample with the ground truth and the prompts of another."""
    copy = ClipSample(metainfo=sample.metainfo)
    copy.gt_segments = sample.gt_segments
    if 'prompts' in sample:
        copy.prompts, copy.prompt_targets = sample.prompts, sample.prompt_targets
    return copy


def _new_metric(report: TaskReport, samples: ShapesSamples) -> BaseMetric:
    metric = report.metric()
    metric.dataset_meta = samples.metainfo
    return metric


def _scores(
    metric: BaseMetric, keys: Sequence[tuple[str, str]], num_samples: int
) -> dict[str, float]:
    values: Mapping[str, float] = metric.evaluate(num_samples)
    return {name: float(values[key]) for key, name in keys if key in values}
