"""The difficulty of Shapes is part of its definition."""

import pytest

from seg.datasets.shapes import ShapesWorld, shapes_statistics
from seg.datasets.shapes.statistics import TARGETS


@pytest.fixture(scope='module')
def statistics():
    return shapes_statistics(ShapesWorld(seed=1), num_samples=2000)


@pytest.mark.slow
@pytest.mark.parametrize('name', TARGETS)
def test_statistics_over_2000_samples_meet_their_targets(statistics, name):
    assert statistics[name]['met'], statistics[name]


@pytest.mark.slow
def test_things_number_from_three_to_eight(statistics):
    assert statistics['fewest_things']['value'] == 3
    assert statistics['most_things']['value'] == 8


def test_a_missed_target_is_said(monkeypatch):
    monkeypatch.setitem(TARGETS, 'images_with_class_twins', (1.01, 2.0))
    missed = shapes_statistics(ShapesWorld(), 3)['images_with_class_twins']
    assert not missed['met']
    assert missed['target'] == '1.01 to 2'


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match='num_samples: expected an integer >= 1, got 0'):
        shapes_statistics(ShapesWorld(), 0)
