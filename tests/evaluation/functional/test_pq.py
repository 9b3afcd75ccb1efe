import importlib.util
import json
import math
from pathlib import Path

import numpy as np
import pytest

from seg.evaluation.functional.panoptic_files import pair_panoptic_files
from seg.evaluation.functional.pq import ClassCounts, PQStat, pq_stat

BENCH = Path(__file__).parents[3] / 'tools' / 'analysis_tools' / 'bench_pq.py'


@pytest.fixture(scope='module')
def bench():
    """The plain loop and the made-up images of the benchmark."""
    spec = importlib.util.spec_from_file_location('bench_pq', BENCH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def row(*ids):
    return np.array([ids], dtype=np.int32)


def segments(**categories):
    """``segments(a1=7)`` is segment 1 of category 7."""
    return [{'id': int(name[1:]), 'category_id': c} for name, c in categories.items()]


def test_scores_by_hand():
    # Category 7: one match with IoU 3/5, one miss; category 8: one false alarm.
    gt, pred = row(1, 1, 1, 1, 2, 2, 3, 3), row(1, 1, 1, 4, 1, 5, 5, 5)
    truth, found = segments(s1=7, s2=7, s3=7), segments(s1=7, s4=8, s5=7)
    stat = pq_stat(pred, found, gt, truth)
    assert stat.counts[7] == ClassCounts(iou=3 / 5 + 2 / 3, tp=2, fp=0, fn=1)
    assert stat.counts[8] == ClassCounts(fp=1)
    summary = stat.summary({7: True, 8: False, 9: False})
    sq, rq = (3 / 5 + 2 / 3) / 2, 2 / 2.5
    assert summary['per_class'].keys() == {7, 8}
    assert summary['per_class'][7] == pytest.approx({'pq': sq * rq, 'sq': sq, 'rq': rq})
    assert summary['Things'] == pytest.approx({'pq': sq * rq, 'sq': sq, 'rq': rq, 'n': 1})
    assert summary['Stuff'] == {'pq': 0, 'sq': 0, 'rq': 0, 'n': 1}
    assert summary['All']['pq'] == pytest.approx(sq * rq / 2)


def test_an_iou_of_one_half_is_no_match():
    stat = pq_stat(row(1, 1, 0), segments(s1=7), row(1, 2, 2), segments(s1=7, s2=9))
    assert stat.counts[7] == ClassCounts(fp=1, fn=1)


def test_void_pixels_of_the_truth_leave_the_union():
    gt, pred = row(1, 1, 0, 0, 0), row(1, 1, 1, 1, 1)
    assert pq_stat(pred, segments(s1=7), gt, segments(s1=7)).counts[7].iou == 1


def test_void_pixels_of_the_prediction_stay_in_the_union():
    gt, pred = row(1, 1, 1), row(0, 1, 1)
    iou = pq_stat(pred, segments(s1=7), gt, segments(s1=7)).counts[7].iou
    assert iou == pytest.approx(2 / 3)


@pytest.mark.parametrize(('covered', 'fp'), [(3, 0), (2, 1)])
def test_a_prediction_mostly_in_void_is_no_mistake(covered, fp):
    gt = row(*[0] * covered, *[1] * (4 - covered), 1, 1, 1, 1)
    pred = row(2, 2, 2, 2, 0, 0, 0, 0)
    assert pq_stat(pred, segments(s2=8), gt, segments(s1=7)).counts.get(
        8, ClassCounts()
    ) == ClassCounts(fp=fp)


def test_a_crowd_is_never_missed_and_excuses_its_own_class_only():
    gt, pred = row(1, 1, 1, 1), row(2, 2, 3, 3)
    crowd = [{'id': 1, 'category_id': 7, 'iscrowd': 1}]
    stat = pq_stat(pred, segments(s2=7, s3=8), gt, crowd)
    assert stat.counts == {8: ClassCounts(fp=1)}


def test_void_and_crowd_add_up():
    gt, pred = row(1, 1, 0, 4, 4), row(2, 2, 2, 2, 2)
    crowd = [{'id': 1, 'category_id': 7, 'iscrowd': 1}, {'id': 4, 'category_id': 8}]
    assert 7 not in pq_stat(pred, segments(s2=7), gt, crowd).counts


def test_a_listed_area_overrides_the_counted_one():
    truth = [{'id': 1, 'category_id': 7, 'area': 4}]
    assert pq_stat(row(1, 1, 1), segments(s1=7), row(1, 1, 1), truth).counts[7].iou == 3 / 4


def test_a_segment_of_the_truth_without_pixels_is_missed():
    stat = pq_stat(row(1), segments(s1=7), row(1), segments(s1=7, s2=7))
    assert stat.counts[7] == ClassCounts(iou=1, tp=1, fn=1)


def test_pixels_of_the_truth_that_nobody_lists_are_neither_void_nor_segment():
    stat = pq_stat(row(1, 1, 1), segments(s1=7), row(1, 1, 9), segments(s1=7))
    assert stat.counts[7].iou == pytest.approx(2 / 3)


def test_no_segments_at_all():
    empty = np.zeros((3, 4), np.int32)
    stat = pq_stat(empty, [], empty, [])
    summary = stat.summary({7: True})
    assert stat.counts == {} and summary['per_class'] == {}
    assert summary['All']['n'] == 0 and math.isnan(summary['All']['pq'])


def test_empty_maps_are_nothing():
    empty = np.zeros((0, 4), np.int32)
    assert pq_stat(empty, [], empty, segments(s1=7)).counts == {7: ClassCounts(fn=1)}


@pytest.mark.parametrize('seed', range(6))
def test_equals_the_plain_loop(bench, seed):
    image = bench.make_image(seed, size=(61, 83))
    expected, got = bench.plain_pq_stat(*image), pq_stat(*image)
    for category, counts in expected.counts.items():
        mine = got.counts.get(category, ClassCounts())
        assert (mine.tp, mine.fp, mine.fn) == (counts.tp, counts.fp, counts.fn)
        assert mine.iou == pytest.approx(counts.iou)


def test_made_up_images_exercise_every_count(bench):
    total = sum((pq_stat(*bench.make_image(seed, (61, 83))) for seed in range(6)), PQStat())
    sums = sum(total.counts.values(), ClassCounts())
    assert min(sums.tp, sums.fp, sums.fn) >= 10


def test_noise_equals_the_plain_loop(bench):
    rng = np.random.default_rng(3)
    gt = rng.integers(0, 6, (20, 30)) * 1000003
    pred = np.where(rng.random(gt.shape) < 0.8, gt, 0)
    listed = [{'id': i * 1000003, 'category_id': i % 3, 'iscrowd': 0} for i in range(1, 6)]
    expected, got = bench.plain_pq_stat(pred, listed, gt, listed), pq_stat(pred, listed, gt, listed)
    assert [got.counts[c] for c in range(3)] == [expected.counts[c] for c in range(3)]


def test_is_three_times_as_fast_as_the_plain_loop(bench):
    images = [bench.make_image(seed) for seed in range(3)]
    plain, _ = bench.seconds(bench.plain_pq_stat, images)
    ours, _ = bench.seconds(pq_stat, images)
    assert plain >= 3 * ours


def test_a_perfect_prediction_scores_one(bench):
    _, _, gt, truth = bench.make_image(1, size=(61, 83))
    truth = [s for s in truth if not s['iscrowd']]
    gt = np.where(np.isin(gt, [s['id'] for s in truth]), gt, 0)
    summary = pq_stat(gt, truth, gt, truth).summary(dict.fromkeys(range(20), True))
    assert {summary['All'][k] for k in ('pq', 'sq', 'rq')} == {1.0}


def test_a_clip_is_one_volume(bench):
    pred, found, gt, truth = bench.make_image(2, size=(64, 80))
    clip = pq_stat(pred.reshape(4, 16, 80), found, gt.reshape(4, 16, 80), truth)
    assert clip == pq_stat(pred, found, gt, truth)


def test_parts_add_up_to_the_whole(bench):
    stats = [pq_stat(*bench.make_image(seed, (40, 50))) for seed in range(4)]
    whole = sum(stats, PQStat())
    halves = (stats[0] + stats[3]) + (stats[2] + stats[1])
    assert whole.counts.keys() == halves.counts.keys()
    for category, counts in whole.counts.items():
        other = halves.counts[category]
        assert (counts.tp, counts.fp, counts.fn) == (other.tp, other.fp, other.fn)
        assert counts.iou == pytest.approx(other.iou)


def test_does_not_depend_on_the_integer_type(bench):
    pred, found, gt, truth = bench.make_image(0, size=(40, 50))
    expected = pq_stat(pred, found, gt, truth)
    for dtype in (np.uint32, np.int64, np.uint64):
        assert pq_stat(pred.astype(dtype), found, gt.astype(np.int32), truth) == expected


@pytest.mark.data
def test_equals_the_official_evaluation(shared_dir):
    root = shared_dir / 'fixtures' / 'coco_panoptic'
    truth, prediction = root / 'annotations', root / 'prediction'
    pairs, categories = pair_panoptic_files(
        truth / 'panoptic_val2017.json',
        truth / 'panoptic_val2017',
        prediction / 'panoptic_val2017.json',
        prediction / 'panoptic_val2017',
    )
    total = sum((pair.stat(categories) for pair in pairs), PQStat())
    summary = total.summary(categories)
    expected = json.loads((prediction / 'expected.json').read_text())
    for group in ('All', 'Things', 'Stuff'):
        assert summary[group] == pytest.approx(expected[group], abs=1e-6)
    for category, scores in summary['per_class'].items():
        official = expected['per_class'].get(str(category), {'pq': 0, 'sq': 0, 'rq': 0})
        assert scores == pytest.approx(official, abs=1e-6)


def test_names_pixels_that_are_not_listed():
    with pytest.raises(ValueError, match=r'image 4: segment ids \[2\] are in the predicted map'):
        pq_stat(row(1, 2), segments(s1=7), row(1, 1), segments(s1=7), where='image 4')


def test_names_listed_segments_without_pixels():
    with pytest.raises(ValueError, match=r'segment ids \[2\] are in the predicted list'):
        pq_stat(row(1, 1), segments(s1=7, s2=7), row(1, 1), segments(s1=7))


@pytest.mark.parametrize(('found', 'true'), [(9, 7), (7, 9)])
def test_names_an_unknown_category(found, true):
    with pytest.raises(ValueError, match='unknown category_id 9'):
        pq_stat(row(1), segments(s1=found), row(1), segments(s1=true), categories={7})


def test_names_maps_of_different_size():
    with pytest.raises(ValueError, match=r'size of the ground truth \(1, 2\), got \(1, 3\)'):
        pq_stat(row(1, 1, 1), segments(s1=7), row(1, 1), segments(s1=7))


def test_names_a_segment_listed_twice():
    with pytest.raises(ValueError, match='id 1 is listed twice in the prediction'):
        pq_stat(row(1), segments(s1=7) * 2, row(1), segments(s1=7))


@pytest.mark.parametrize('number', [0, -3, 1 << 24])
def test_names_an_id_that_no_segment_may_have(number):
    listed = [{'id': number, 'category_id': 7}]
    with pytest.raises(ValueError, match=r'segment ids in \[1, 16777216\)'):
        pq_stat(row(1), segments(s1=7), row(1), listed)


def test_names_maps_that_hold_no_ids():
    with pytest.raises(TypeError, match='pred_map: expected integer'):
        pq_stat(row(1) * 0.5, [], row(1), [])
    with pytest.raises(ValueError, match='gt_map: expected segment ids'):
        pq_stat(row(1), segments(s1=7), row(-1), [])


def test_an_id_that_is_no_number_is_named() -> None:
    ids = np.ones((2, 2), np.int32)
    good, bad = [{'id': 1, 'category_id': 2}], [{'id': 'abc', 'category_id': 2}]
    with pytest.raises(ValueError, match=r"photo: expected a whole number .*prediction, got 'abc'"):
        pq_stat(ids, bad, ids, good, where='photo')
