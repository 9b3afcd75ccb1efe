import importlib.util
import json
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest

from seg.evaluation.functional.davis import (
    davis_summary,
    outline_of,
    score_objects,
    score_proposals,
    statistics,
    tolerance_pixels,
)
from seg.evaluation.functional.davis_files import pair_davis_files
from seg.utils.checks import UserError

BENCH = Path(__file__).parents[3] / 'tools' / 'analysis_tools' / 'bench_davis.py'


@pytest.fixture(scope='module')
def plain():
    """The evaluation frame by frame and object by object, of the benchmark."""
    spec = importlib.util.spec_from_file_location('bench_davis', BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def blank(size=(40, 60)):
    return np.zeros(size, dtype=np.uint8)


def boxed(*boxes, size=(40, 60)):
    """A map with object k in the k-th box (top, bottom, left, right)."""
    ids = blank(size)
    for number, (top, bottom, left, right) in enumerate(boxes, 1):
        ids[top:bottom, left:right] = number
    return ids


def random_maps(seed, size):
    """Two maps of overlapping ellipses that mostly agree, some touching the image's edge."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    maps = np.zeros((2, *size), dtype=np.uint8)
    for number in rng.permutation(5) + 1:
        centre, radii = rng.uniform(0, 1, 2) * size, rng.uniform(0.05, 0.4, 2) * size
        for ids, shift in zip(maps, (0, rng.normal(0, 0.04, 2) * size), strict=True):
            y, x = centre + shift
            ids[((rows - y) / radii[0]) ** 2 + ((columns - x) / radii[1]) ** 2 < 1] = number
    return maps


def test_the_tolerance_grows_with_the_image():
    assert [tolerance_pixels(size) for size in ((480, 854), (480, 910), (40, 60))] == [8, 9, 1]


def test_an_outline_is_where_the_next_pixels_differ():
    mask = boxed((1, 3, 1, 3), size=(4, 4)) > 0
    expected = [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(outline_of(mask), np.array(expected, bool))
    assert not outline_of(np.ones((3, 3), bool)).any()


def test_region_by_hand():
    truth, prediction = boxed((10, 20, 10, 20)), boxed((10, 20, 15, 25))
    scores = score_objects([(truth, prediction)], [1])
    assert scores.j.tolist() == [[50 / 150]]


def test_contour_by_hand():
    """The tolerance is one pixel, and both outlines are squares of 11 x 11 pixels."""
    truth, near = boxed((10, 20, 10, 20)), boxed((10, 20, 11, 21))
    assert score_objects([(truth, near)], [1]).f.item() == 1
    far = boxed((10, 20, 12, 22))
    assert np.count_nonzero(outline_of(truth == 1)) == 40
    # Near the other outline: ten pixels of each level side, and one below and above it.
    assert score_objects([(truth, far)], [1]).f.item() == pytest.approx((2 * 10 + 2) / 40)


@pytest.mark.parametrize(
    ('truth', 'prediction', 'expected'),
    [
        (blank(), blank(), 1.0),
        (boxed((1, 9, 1, 9)), blank(), 0.0),
        (blank(), boxed((1, 9, 1, 9)), 0.0),
        (boxed((1, 9, 1, 9)), boxed((30, 39, 50, 59)), 0.0),
        (boxed((0, 40, 0, 60)), boxed((0, 40, 0, 60)), 1.0),
    ],
)
def test_empty_and_distant_masks(truth, prediction, expected):
    scores = score_objects([(truth, prediction)], [1])
    assert (scores.j.item(), scores.f.item()) == (expected, expected)


def test_a_mask_of_the_whole_image_has_no_outline():
    full, part = boxed((0, 40, 0, 60)), boxed((0, 40, 0, 30))
    scores = score_objects([(full, part)], [1])
    assert (scores.j.item(), scores.f.item()) == (0.5, 0.0)


@pytest.mark.parametrize('size', [(60, 90), (131, 77), (200, 310)])
def test_as_the_plain_evaluation(plain, size):
    frames = [random_maps(seed, size) for seed in range(6)]
    scores = score_objects(frames, range(1, 7))
    expected = plain.plain_evaluation(frames, range(1, 7))
    np.testing.assert_array_equal(np.stack(scores, axis=-1), expected)
    assert 0.2 < scores.f.mean() < 0.98


@pytest.mark.parametrize('size', [(60, 90), (300, 420)])
def test_masks_that_lie_apart_as_the_plain_evaluation(plain, size):
    """In every direction, by as much as the tolerance, less and more."""
    radius = tolerance_pixels(size)
    truth = boxed((25, 31, 40, 49), size=size)
    steps = (-25, -9 - 2 * radius, -8 - radius, -7, 0, 6, 8 + radius, 9 + 2 * radius)
    frames = [
        (truth, np.roll(truth, (down, right), axis=(0, 1))) for down in steps for right in steps
    ]
    expected = plain.plain_evaluation(frames, [1])
    np.testing.assert_array_equal(np.stack(score_objects(frames, [1]), axis=-1), expected)


def test_a_swap_of_identities_costs_both_objects():
    truth = boxed((5, 15, 5, 15), (20, 30, 30, 50))
    swapped = np.choose(truth, [0, 2, 1])
    scores = score_objects([(truth, truth), (truth, swapped)], [1, 2])
    assert scores.j.tolist() == [[1, 0], [1, 0]]
    assert scores.f.tolist() == [[1, 0], [1, 0]]


def test_proposals_may_have_any_ids_but_keep_them():
    truth = boxed((5, 15, 5, 15), (20, 30, 30, 50))
    renamed, swapped = np.choose(truth, [0, 7, 3]), np.choose(truth, [0, 3, 7])
    same = score_proposals([(truth, renamed)] * 2, [1, 2])
    assert same.j.min() == same.f.min() == 1
    changed = score_proposals([(truth, renamed), (truth, renamed), (truth, swapped)], [1, 2])
    assert changed.j.tolist() == [[1, 1, 0], [1, 1, 0]]


def test_proposals_are_assigned_to_the_largest_total(plain):
    frames = [random_maps(seed, (60, 90)) for seed in range(3)]
    frames = [(truth, (prediction % 6 + 1) * (prediction > 0)) for truth, prediction in frames]
    scores = score_proposals(frames, [1, 2, 3])
    table = np.array(
        [
            [
                [plain.plain_scores(truth == i, prediction == p) for truth, prediction in frames]
                for p in range(1, 7)
            ]
            for i in (1, 2, 3)
        ]
    )
    best = max(permutations(range(6), 3), key=lambda p: table[range(3), p].mean())
    np.testing.assert_allclose(np.stack(scores, axis=-1), table[range(3), best])


def test_void_counts_nowhere_for_proposals_and_is_background_otherwise():
    truth, prediction = boxed((5, 15, 5, 15)), boxed((5, 15, 5, 25))
    truth[5:15, 15:25] = 255
    assert score_proposals([(truth, prediction)], [1]).j.item() == 1
    assert score_objects([(truth, prediction)], [1]).j.item() == 0.5


def test_more_than_twenty_proposals_are_refused():
    with pytest.raises(UserError, match='frame 0: expected ids of proposals from 1 to 20, got 21'):
        score_proposals([(blank(), boxed((1, 2, 1, 2)) * 21)], [1])


def test_a_prediction_of_another_size_is_refused():
    with pytest.raises(UserError, match=r'frame 1: .*\(40, 60\).*got \(20, 30\)'):
        score_objects([(blank(), blank()), (blank(), blank((20, 30)))], [1])


def test_statistics_by_hand():
    scores = statistics(np.array([1.0, 0.9, 0.8, 0.5, 0.4, 0.3, 0.2, 0.1]))
    assert scores.mean == pytest.approx(0.525)
    assert scores.recall == 3 / 8  # 0.5 is not above 0.5
    # Bins end at round(linspace(1, 8, 5)) = 1, 3, 5, 6, 8, both ends belong to them.
    assert scores.decay == pytest.approx((1 + 0.9 + 0.8) / 3 - (0.3 + 0.2 + 0.1) / 3)
    assert statistics(np.array([0.7])) == pytest.approx((0.7, 1.0, 0.0))


def test_statistics_of_a_long_video():
    values = np.linspace(1, 0, 1000)
    assert statistics(values).decay == pytest.approx(0.75, abs=0.01)


def test_nothing_to_average_is_refused():
    with pytest.raises(UserError, match='at least one frame'):
        statistics(np.zeros(0))
    with pytest.raises(UserError, match='at least one object'):
        davis_summary({})


def test_a_summary_is_a_mean_over_objects():
    scores = {'a_1': (np.ones(4), np.zeros(4)), 'b_1': (np.full(2, 0.5), np.ones(2))}
    summary = davis_summary(scores)
    assert (summary['J-Mean'], summary['F-Mean'], summary['J&F-Mean']) == (0.75, 0.5, 0.625)
    assert (summary['J-Recall'], summary['F-Recall']) == (0.5, 0.5)
    assert summary['per_object'] == {'a_1': [1, 0], 'b_1': [0.5, 1]}


@pytest.mark.data
@pytest.mark.parametrize('name', ['drift', 'other'])
def test_as_the_official_toolkit(shared_dir, name):
    root = shared_dir / 'fixtures' / 'davis_eval'
    expected = json.loads((root / 'expected.json').read_text())[name]
    scores = {}
    for sequence in pair_davis_files(root, root / 'results' / name, 'val'):
        scores |= sequence.scores()
    summary = davis_summary(scores)
    assert summary.keys() == expected.keys()
    per_object, wanted = summary.pop('per_object'), expected.pop('per_object')
    assert summary == pytest.approx(expected, abs=1e-6)
    assert per_object.keys() == wanted.keys()
    for object_name, values in wanted.items():
        assert per_object[object_name] == pytest.approx(values, abs=1e-6)
