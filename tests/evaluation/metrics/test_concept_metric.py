"""cgF1 by hand."""

import numpy as np
import pytest
import torch

from seg.evaluation.functional import ConceptScore, concept_summary, score_concept
from seg.evaluation.metrics import ConceptMetric
from seg.utils.checks import UserError


def strips(*spans):
    masks = np.zeros((len(spans), 1, 1, 100), dtype=bool)
    for mask, (start, end) in zip(masks, spans, strict=True):
        mask[..., start:end] = True
    return masks


def test_matching_counts_pairs_at_each_threshold():
    # IoU 0.8 with the first, 1 with the second, nothing for the third
    score = score_concept(strips((0, 8), (20, 40), (90, 95)), strips((20, 40), (0, 10)))

    assert (score.num_wanted, score.num_found) == (2, 3)
    assert score.true_positives == (2,) * 7 + (1,) * 3


def test_summary_by_hand():
    scores = [
        ConceptScore(2, 2, (2,) * 5 + (0,) * 5),  # F1 1 or 0
        ConceptScore(2, 0, (0,) * 10),
        ConceptScore(0, 1, (0,) * 10),  # invented
        ConceptScore(0, 0, (0,) * 10),
        ConceptScore(0, 0, (0,) * 10),
    ]
    summary = concept_summary(scores)

    # 4 wanted + 2 found in images that have the phrase: F1 = 2 * 2 / 6 at half the thresholds
    assert summary['pmF1'] == pytest.approx(1 / 3)
    # TP 1, TN 2, FP 1, FN 1
    assert summary['IL_MCC'] == pytest.approx((2 - 1) / np.sqrt(2 * 2 * 3 * 3))
    assert summary['cgF1'] == pytest.approx(1 / 18)


def test_undefined_correlation_is_zero():
    assert concept_summary([ConceptScore(1, 1, (1,) * 10)])['IL_MCC'] == 0


def record(scores):
    return dict(
        img_id=1,
        phrase_labels=[4, 2],
        gt_segments=dict(
            masks=torch.from_numpy(strips((0, 10), (50, 60), (70, 80))),
            labels=torch.tensor([4, 4, 4]),
            is_crowd=torch.tensor([False, False, True]),
        ),
        pred_instances=dict(
            masks=torch.from_numpy(strips((0, 10), (50, 60))),
            scores=torch.tensor(scores),
            rows=torch.tensor([0, 0]),
        ),
    )


def test_metric_reads_rows_and_leaves_out_crowds_and_low_scores():
    metric = ConceptMetric()
    metric.process(None, [record([0.9, 0.8])])
    assert metric.evaluate(1) == {'concept/cgF1': 100, 'concept/pmF1': 100, 'concept/IL_MCC': 100}
    metric.process(None, [record([0.9, 0.4])])
    assert metric.evaluate(1)['concept/pmF1'] == pytest.approx(200 / 3)


def test_metric_without_phrases():
    metric = ConceptMetric()
    metric.results.append(dict(img_id=1, scores=[]))
    with pytest.raises(UserError, match='expected phrases, got none'):
        metric.compute_metrics(metric.results)
    with pytest.raises(UserError, match='score_threshold'):
        ConceptMetric(score_threshold=2)
