import numpy as np
import pytest

from seg.evaluation.functional.bootstrap import mean_score, paired_bootstrap, panoptic_score
from seg.evaluation.functional.pq import ClassCounts, PQStat
from seg.utils.checks import UserError

RNG = np.random.default_rng(1)


def values(scores, counts=None):
    """Statistics of samples with one value each, or sums of several."""
    counts = np.ones(len(scores)) if counts is None else counts
    return np.stack([scores * counts, counts], axis=1)


def test_equal_models_differ_by_nothing():
    same = values(RNG.random(50))
    found = paired_bootstrap(same, same, mean_score, repeats=200)
    assert found.first == found.second == pytest.approx(same[:, 0].mean())
    assert (found.difference, found.low, found.high) == (0, 0, 0)


def test_a_constant_advantage_is_certain():
    scores = RNG.random(40)
    found = paired_bootstrap(values(scores + 0.1), values(scores), mean_score, repeats=200)
    assert (found.difference, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_the_interval_is_that_of_normal_theory():
    differences = RNG.normal(0.02, 0.1, 400)
    scores = RNG.random(400)
    found = paired_bootstrap(values(scores + differences), values(scores), mean_score)
    error = differences.std() / np.sqrt(400)
    assert found.low == pytest.approx(differences.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(differences.mean() + 1.96 * error, abs=0.15 * error)
    narrow = paired_bootstrap(
        values(scores + differences), values(scores), mean_score, level=0.5, repeats=1000
    )
    assert found.low < narrow.low < narrow.high < found.high


def test_pairs_are_kept_together():
    """Hard samples are hard for both, which must not widen the interval."""
    hard = RNG.random(200)
    better = values(np.clip(hard + 0.01 * RNG.standard_normal(200), 0, 1))
    paired = paired_bootstrap(better, values(hard), mean_score, repeats=500)
    mixed = paired_bootstrap(better, values(RNG.permutation(hard)), mean_score, repeats=500)
    assert paired.high - paired.low < 0.1 * (mixed.high - mixed.low)


def test_samples_count_by_what_they_hold():
    found = paired_bootstrap(
        values(np.array([1.0, 0.0]), np.array([9.0, 1.0])),
        values(np.array([0.0, 1.0]), np.array([9.0, 1.0])),
        mean_score,
        repeats=10,
    )
    assert (found.first, found.second) == pytest.approx((0.9, 0.1))


def test_panoptic_quality_is_that_of_the_summed_counts():
    counts = RNG.integers(0, 4, (6, 3, 3))
    iou = RNG.random((6, 3)) * counts[..., 0]
    counts[:, 2], iou[:, 2] = 0, 0  # a class that never occurs
    statistics = np.concatenate([iou[..., None], counts], axis=-1).reshape(6, 12)
    total = PQStat()
    for image in range(6):
        total += PQStat(
            {k: ClassCounts(float(iou[image, k]), *map(int, counts[image, k])) for k in range(3)}
        )
    expected = total.summary(dict.fromkeys(range(3), True))['All']['pq']
    assert panoptic_score(statistics.sum(axis=0, keepdims=True)) == pytest.approx(expected)
    found = paired_bootstrap(statistics, 0 * statistics + statistics, panoptic_score, repeats=20)
    assert found.first == pytest.approx(expected)
    assert found.high == 0


def test_seeds_are_averaged_over_the_same_draws():
    scores = RNG.random(30)
    two = np.stack([values(scores + 0.3), values(scores - 0.1)])
    found = paired_bootstrap(two, values(scores), mean_score, repeats=100)
    assert (found.difference, found.low, found.high) == pytest.approx((0.1, 0.1, 0.1))


def test_nothing_counted_is_nan():
    assert np.isnan(mean_score(np.zeros((1, 2)))).all()
    assert np.isnan(panoptic_score(np.zeros((1, 8)))).all()


def test_other_samples_and_numbers_are_refused():
    with pytest.raises(UserError, match=r'got \(3, 2\) and \(4, 2\)'):
        paired_bootstrap(np.ones((3, 2)), np.ones((4, 2)), mean_score)
    with pytest.raises(UserError, match='at least one'):
        paired_bootstrap(np.ones((0, 2)), np.ones((0, 2)), mean_score)
    for settings in (dict(repeats=0), dict(level=1.0)):
        with pytest.raises(UserError, match='repeats >= 1 and a level in'):
            paired_bootstrap(np.ones((3, 2)), np.ones((3, 2)), mean_score, **settings)
