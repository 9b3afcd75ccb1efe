import numpy as np
import pytest

from seg.evaluation.functional.pq import PQStat, pq_stat
from seg.evaluation.functional.vpq import vpq_stats, vpq_summary
from seg.utils.checks import UserError


def listed(labels):
    return [{'id': i, 'category_id': label} for i, label in enumerate(labels, 1)]


def clip(*frames):
    """Frames of one row each."""
    return np.array(frames, dtype=np.int32)[:, None]


def random_clip(seed, num_frames=7, size=(12, 15)):
    """True and predicted maps that mostly agree, with void, crowds, and ids that come and go."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 6, (num_frames, 3, 3))
    truth = coarse.repeat(size[0] // 3, 1).repeat(size[1] // 3, 2).astype(np.int32)
    prediction = np.roll(truth, rng.integers(0, 3, 2), axis=(1, 2))
    swapped = rng.random(num_frames) < 0.3
    prediction[swapped] = np.array([0, 2, 1, 3, 5, 4])[prediction[swapped]]
    gt = [{**s, 'iscrowd': s['id'] == 5} for s in listed([0, 0, 1, 2, 2])]
    pred = [s for s in listed([0, 0, 1, 2, 1]) if (prediction == s['id']).any()]
    return prediction, pred, truth, gt


def plain_vpq(prediction, pred, truth, gt, size):
    """Every window as a volume of its own, with the segments that it shows."""
    size, total = min(size, len(truth)), PQStat()
    for start in range(len(truth) - size + 1):
        frames = slice(start, start + size)
        total += pq_stat(
            prediction[frames],
            [s for s in pred if (prediction[frames] == s['id']).any()],
            truth[frames],
            [s for s in gt if (truth[frames] == s['id']).any()],
        )
    return total


@pytest.mark.parametrize('seed', range(6))
def test_as_windows_one_by_one(seed):
    prediction, pred, truth, gt = random_clip(seed)
    stats = vpq_stats(prediction, pred, truth, gt, windows=(1, 2, 4, 6, 9))
    for size, stat in stats.items():
        expected = plain_vpq(prediction, pred, truth, gt, size)
        assert stat.counts.keys() == expected.counts.keys()
        for category, counts in expected.counts.items():
            assert vars(stat.counts[category]) == pytest.approx(vars(counts))


def test_a_swap_of_identities_is_seen_by_longer_windows_only():
    truth = clip([1, 1, 2, 2], [1, 1, 2, 2])
    swapped = clip([1, 1, 2, 2], [2, 2, 1, 1])
    stats = vpq_stats(swapped, listed([0, 0]), truth, listed([0, 0]), windows=(1, 2))
    assert (stats[1].counts[0].tp, stats[1].counts[0].fp) == (4, 0)
    assert (stats[2].counts[0].tp, stats[2].counts[0].fp, stats[2].counts[0].fn) == (0, 2, 2)
    summary = vpq_summary(stats, {0: True})
    assert summary['All'] == {'vpq': 0.5, '1': 1.0, '2': 0.0}
    assert np.isnan(summary['Stuff']['vpq'])


def test_an_id_that_changes_once_by_hand():
    """Windows of two frames: one whole tube, one broken into halves, one whole again."""
    truth = clip([1], [1], [1], [1])
    broken = clip([1], [1], [2], [2])
    stats = vpq_stats(broken, listed([0, 0]), truth, listed([0]), windows=(2, 4))
    counts = stats[2].counts[0]
    assert (counts.tp, counts.fp, counts.fn, counts.iou) == (2, 2, 1, 2.0)
    counts = stats[4].counts[0]
    assert (counts.tp, counts.fp, counts.fn) == (0, 2, 1)


def test_a_clip_shorter_than_a_window_is_one_window():
    truth = clip([1, 2], [1, 2])
    stats = vpq_stats(truth, listed([0, 1]), truth, listed([0, 1]), windows=(6,))
    assert (stats[6].counts[0].tp, stats[6].counts[1].tp) == (1, 1)


def test_areas_of_the_whole_clip_are_not_those_of_a_window():
    truth = clip([1, 1], [1, 1])
    gt = [{'id': 1, 'category_id': 0, 'area': 4}]
    assert vpq_stats(truth, listed([0]), truth, gt, windows=(1,))[1].counts[0].iou == 2


def test_maps_and_lists_have_to_agree():
    truth = clip([1, 2], [1, 2])
    with pytest.raises(UserError, match=r'clip: segment ids \[2\] are in the predicted map'):
        vpq_stats(truth, listed([0]), truth, listed([0, 1]))
    with pytest.raises(UserError, match=r'clip: segment ids \[3\] are in the predicted list'):
        vpq_stats(truth, listed([0, 1, 1]), truth, listed([0, 1]))
    with pytest.raises(UserError, match=r'windows: .* each >= 1, got \(2, 0\)'):
        vpq_stats(truth, listed([0, 1]), truth, listed([0, 1]), windows=(2, 0))
