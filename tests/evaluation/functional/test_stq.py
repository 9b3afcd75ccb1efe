import math

import numpy as np
import pytest

from seg.evaluation.functional.stq import stq_stat
from seg.utils.checks import UserError

SETTINGS = {'num_classes': 3, 'things': range(2)}


def listed(labels, crowds=()):
    return [
        {'id': i, 'category_id': label, 'iscrowd': i in crowds} for i, label in enumerate(labels, 1)
    ]


def clip(*frames):
    """Frames of one row each."""
    return np.array(frames, dtype=np.int32)[:, None]


def plain_stq(prediction, pred, truth, gt, num_classes, things):
    """The definition, mask by mask."""
    aq = np.mean(plain_qualities(prediction, pred, truth, gt, things))
    sq = np.mean(plain_ious(prediction, pred, truth, gt, num_classes))
    return {'stq': np.sqrt(aq * sq), 'aq': aq, 'sq': sq}


def plain_ious(prediction, pred, truth, gt, num_classes):
    classes = {'pred': np.full(prediction.shape, -1), 'gt': np.full(truth.shape, -1)}
    for name, ids, segments in (('pred', prediction, pred), ('gt', truth, gt)):
        for segment in segments:
            classes[name][ids == segment['id']] = segment['category_id']
    pairs = [
        (classes['gt'] == label, (classes['pred'] == label) & (classes['gt'] >= 0))
        for label in range(num_classes)
    ]
    return [
        (one & other).sum() / (one | other).sum() for one, other in pairs if (one | other).any()
    ]


def plain_qualities(prediction, pred, truth, gt, things):
    gt = [segment for segment in gt if segment['category_id'] in things]
    crowd = np.isin(truth, [segment['id'] for segment in gt if segment['iscrowd']])
    tracks = [(prediction == s['id']) & ~crowd for s in pred if s['category_id'] in things]
    qualities = []
    for mask in [truth == segment['id'] for segment in gt if not segment['iscrowd']]:
        shared = [(mask & track).sum() for track in tracks]
        unions = [(mask | track).sum() for track in tracks]
        qualities.append(sum(s * s / u for s, u in zip(shared, unions, strict=True)) / mask.sum())
    return qualities


@pytest.mark.parametrize('seed', range(8))
def test_as_the_definition_mask_by_mask(seed):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 7, (5, 4, 4)).repeat(4, 1).repeat(5, 2).astype(np.int32)
    prediction = np.roll(truth, rng.integers(0, 3, 2), axis=(1, 2))
    prediction[2:] = np.array([0, 2, 1, 3, 4, 6, 5])[prediction[2:]]
    gt, pred = listed([0, 0, 1, 1, 2, 2], crowds=(4,)), listed([0, 1, 1, 0, 2, 2])
    stat = stq_stat(prediction, pred, truth, gt, **SETTINGS)
    assert stat.summary() == pytest.approx(plain_stq(prediction, pred, truth, gt, **SETTINGS))


def test_a_swap_of_identities_by_hand():
    """Each true track of 4 pixels shares 2 with each of two predicted tracks of 4: 2 * 2 * 2/6."""
    truth = clip([1, 1, 2, 2], [1, 1, 2, 2])
    swapped = clip([1, 1, 2, 2], [2, 2, 1, 1])
    scores = stq_stat(swapped, listed([0, 0]), truth, listed([0, 0]), **SETTINGS).summary()
    assert scores['sq'] == 1
    assert scores['aq'] == pytest.approx(2 * 2 * (2 / 6) / 4)
    assert scores['stq'] == pytest.approx(math.sqrt(1 / 3))


def test_classes_do_not_matter_to_identities_nor_identities_to_classes():
    truth = clip([1, 1, 2, 2])
    scores = stq_stat(truth, listed([1, 1]), truth, listed([0, 1]), **SETTINGS).summary()
    assert scores['aq'] == 1
    assert scores['sq'] == pytest.approx((0 + 2 / 4) / 2)


def test_stuff_has_no_identity():
    truth, prediction = clip([1, 1, 2, 2]), clip([1, 1, 2, 3])
    scores = stq_stat(prediction, listed([0, 2, 2]), truth, listed([0, 2]), **SETTINGS).summary()
    assert scores == {'stq': 1, 'aq': 1, 'sq': 1}


def test_void_of_the_truth_is_no_class_and_void_of_the_prediction_is_missed():
    truth, prediction = clip([1, 1, 0, 0]), clip([1, 0, 1, 0])
    scores = stq_stat(prediction, listed([0]), truth, listed([0]), **SETTINGS).summary()
    assert scores['sq'] == 1 / 2
    assert scores['aq'] == pytest.approx(1 * (1 / 3) / 2)


def test_crowds_are_classes_and_no_tracks():
    truth, prediction = clip([1, 1, 2, 2]), clip([1, 1, 1, 1])
    stat = stq_stat(prediction, listed([0]), truth, listed([0, 0], crowds=(2,)), **SETTINGS)
    assert stat.num_tracks == 1
    assert stat.summary() == {'stq': 1, 'aq': 1, 'sq': 1}


def test_clips_add_up_and_their_ids_do_not_meet():
    truth = clip([1, 1, 2, 2])
    one = stq_stat(truth, listed([0, 1]), truth, listed([0, 1]), **SETTINGS)
    other = stq_stat(clip([0, 0, 0, 0]), [], truth, listed([0, 1]), **SETTINGS)
    total = (one + other).summary()
    assert (total['aq'], total['sq']) == (0.5, 0.5)


def test_without_tracks_there_is_no_association():
    truth = clip([1, 1])
    scores = stq_stat(truth, listed([2]), truth, listed([2]), **SETTINGS).summary()
    assert scores['sq'] == 1
    assert math.isnan(scores['aq']) and math.isnan(scores['stq'])


def test_unknown_classes_and_unlisted_segments_are_refused():
    truth = clip([1, 2])
    with pytest.raises(UserError, match='unknown category_id 3'):
        stq_stat(truth, listed([0, 3]), truth, listed([0, 1]), **SETTINGS)
    with pytest.raises(UserError, match='not in its list'):
        stq_stat(truth, listed([0]), truth, listed([0, 1]), **SETTINGS)
