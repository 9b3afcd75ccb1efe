import numpy as np
import pytest

from seg.comparison.table import compare, markdown_table, table_picture

RNG = np.random.default_rng(0)


def of_model(mean, num_seeds=2, num=300):
    """Statistics of a score that is the same share of one for all samples, but for noise."""
    noise = np.random.default_rng(3).normal(0, 0.05, num)
    return [np.stack([mean + noise, np.ones(num)], axis=1) for _ in range(num_seeds)]


@pytest.mark.parametrize(
    ('mean', 'verdict'), [(0.6, 'holds'), (0.597, 'holds'), (0.59, 'fails'), (0.62, 'holds')]
)
def test_verdicts_follow_the_margin(mean, verdict):
    (row,) = compare(
        ('joint', {'J&F': of_model(mean)}),
        ('twin', {'J&F': of_model(0.6)}),
        task='vos',
        margin=0.5,
        repeats=100,
    )
    assert row.difference == pytest.approx(100 * (mean - 0.6))
    assert row.verdict == verdict
    assert (row.samples, row.seeds) == (300, (2, 2))
    assert row.by_seed[0] == pytest.approx([row.scores[0]] * 2)
    assert row.by_seed[1] == pytest.approx([row.scores[1]] * 2)
    assert row.by_seed_difference == pytest.approx([row.difference] * 2)


def test_a_wide_interval_leaves_the_question_open():
    noisy = [np.stack([RNG.random(30), np.ones(30)], axis=1)]
    (row,) = compare(
        ('joint', {'J&F': noisy}), ('twin', {'J&F': of_model(0.5, 1, 30)}), task='vos', margin=0.5
    )
    assert row.verdict == 'open'
    assert row.interval[0] < row.difference < row.interval[1]


def test_scores_without_a_sample_are_left_out_and_the_rest_is_told():
    nothing = [np.zeros((300, 2))]
    rows = compare(
        ('joint', {'mIoU@1': of_model(0.7, 1), 'text_gIoU': nothing}),
        ('twin', {'mIoU@1': of_model(0.71, 1), 'text_gIoU': nothing}),
        task='interactive_image',
        margin=0.5,
        repeats=50,
    )
    assert [row.score for row in rows] == ['mIoU@1']
    table = markdown_table(rows)
    assert '| interactive_image | mIoU@1 | joint | 70.' in table
    assert '| -1.0 | -1.0 |' in table
    assert table_picture(rows, 0.5).startswith(b'\x89PNG')


def test_unequal_numbers_of_seeds_make_no_pairs():
    (row,) = compare(
        ('joint', {'J&F': of_model(0.6, 2)}),
        ('twin', {'J&F': of_model(0.6, 1)}),
        task='vos',
        margin=0.5,
        repeats=20,
    )
    assert row.by_seed_difference == ()
    assert '| +0.0 |  | ' in markdown_table([row])
