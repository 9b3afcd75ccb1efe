"""Each task is scored by its own metrics."""

from collections.abc import Sequence

import pytest
from mmengine.evaluator import BaseMetric

from seg.evaluation.metrics import TaskEvaluator
from seg.structures import ClipSample


class _Count(BaseMetric):
    """How many samples came, and which."""

    def process(self, data_batch: object, data_samples: Sequence[dict]) -> None:
        self.results += [sample['img_id'] for sample in data_samples]

    def compute_metrics(self, results: list) -> dict[str, float]:
        return {'sum': float(sum(results)), 'count': float(len(results))}


def _sample(task: str, img_id: int) -> ClipSample:
    return ClipSample(metainfo={'task': task, 'img_id': img_id})


def _evaluator() -> TaskEvaluator:
    evaluator = TaskEvaluator({'panoptic': _Count(prefix='p'), 'vos': [_Count(prefix='v')]})
    evaluator.dataset_meta = {'classes': ('a',)}
    return evaluator


def test_samples_reach_the_metrics_of_their_task_alone() -> None:
    evaluator = _evaluator()
    evaluator.process([_sample('panoptic', 1), _sample('vos', 10), _sample('panoptic', 2)])

    scores = evaluator.evaluate(3)

    assert scores == {'p/sum': 3, 'p/count': 2, 'v/sum': 10, 'v/count': 1}


def test_every_metric_knows_the_classes() -> None:
    assert all(metric.dataset_meta == {'classes': ('a',)} for metric in _evaluator().metrics)


def test_a_task_without_metrics_is_refused() -> None:
    with pytest.raises(ValueError, match='expected samples of panoptic, vos, got interactive_im'):
        _evaluator().process([_sample('interactive_image', 1)])


def test_an_unknown_task_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown task 'panoptc'"):
        TaskEvaluator({'panoptc': _Count()})
