import json
import math
import zipfile

import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData
from pycocotools import mask as rle

from seg.registry import METRICS
from seg.structures import ClipSample, Tube
from seg.utils.checks import UserError

META = {'classes': ('cat', 'dog', 'sky'), 'num_things': 2, 'category_ids': [4, 9]}
SIZE = (20, 30)


def masks(num_frames=4):
    """A cat and a dog that move, (2, T, H, W)."""
    found = np.zeros((2, num_frames, *SIZE), dtype=bool)
    for t in range(num_frames):
        found[0, t, 2:8, 2 + t : 10 + t] = True
        found[1, t, 10:18, 12 + t : 20 + t] = True
    return found


def tube(frames, label=0, score=0.9):
    codes = [
        rle.encode(np.asfortranarray(frame.astype(np.uint8))) if frame.any() else None
        for frame in frames
    ]
    return Tube(label, score, tuple(codes))


def make_sample(tubes, truth=None, labels=(0, 1), img_id=5, crowds=(False, False)):
    truth = masks() if truth is None else truth
    sample = ClipSample(metainfo={'img_id': img_id, 'ori_shape': SIZE})
    sample.gt_segments = InstanceData(
        masks=torch.from_numpy(truth),
        labels=torch.tensor(labels[: len(truth)]),
        object_ids=torch.arange(len(truth)) + 1,
        is_crowd=torch.tensor(crowds[: len(truth)]),
    )
    sample.pred_tubes = tubes
    return sample.to_dict()


def evaluate(samples, **settings):
    metric = METRICS.build({'type': 'YoutubeVisMetric', **settings})
    metric.dataset_meta = META
    for sample in samples:
        metric.process(None, [sample])
    return metric.evaluate(len(samples))


def perfect():
    cat, dog = masks()
    return [tube(cat), tube(dog, label=1)]


def test_perfect_tubes_score_one_hundred():
    scores = evaluate([make_sample(perfect()), make_sample(perfect(), img_id=6)])
    names = ('AP', 'AP_50', 'AP_75', 'AR@1', 'AR@10')
    assert scores == pytest.approx({f'youtube_vis/{name}': 100 for name in names})


def test_an_iou_of_sixty_percent_counts_at_two_and_a_bit_of_ten_thresholds():
    """The cat loses its last frames: 3 of 5 equal frames is an IoU of 0.6, right up to 0.6."""
    cat = masks(5)[:1]
    part = cat[0].copy()
    part[3:] = False
    scores = evaluate([make_sample([tube(part)], cat)])
    assert scores['youtube_vis/AP'] == pytest.approx(100 * 3 / 10)
    assert scores['youtube_vis/AP_50'] == pytest.approx(100)
    assert scores['youtube_vis/AP_75'] == 0


def test_a_swap_of_identities_costs():
    cats = masks()
    swapped = cats.copy()
    swapped[:, 2:] = cats[::-1, 2:]
    right = evaluate([make_sample([tube(c) for c in cats], cats, (0, 0))])
    wrong = evaluate([make_sample([tube(c) for c in swapped], cats, (0, 0))])
    assert right['youtube_vis/AP'] == pytest.approx(100)
    assert wrong['youtube_vis/AP'] == 0


def test_a_wrong_class_is_a_miss():
    cat, dog = masks()
    scores = evaluate([make_sample([tube(cat, label=1), tube(dog, label=1, score=0.5)])])
    assert scores['youtube_vis/AP'] < 51


def test_stuff_and_crowds_are_no_objects():
    cat, dog = masks()
    assert evaluate([make_sample([tube(cat)], labels=(0, 2))])['youtube_vis/AP'] == pytest.approx(
        100
    )
    crowd = make_sample([tube(cat), tube(dog, score=0.99)], labels=(0, 0), crowds=(False, True))
    assert evaluate([crowd])['youtube_vis/AP'] == pytest.approx(100)


def test_nothing_predicted_scores_zero_and_nothing_to_find_has_no_score():
    assert evaluate([make_sample([])])['youtube_vis/AP'] == 0
    nothing = make_sample([], np.zeros((0, 4, *SIZE), dtype=bool))
    assert math.isnan(evaluate([nothing])['youtube_vis/AP'])


def test_a_submission_has_the_ids_of_the_data_set(tmp_path):
    prefix = tmp_path / 'new' / 'run'
    sample = make_sample(perfect(), np.zeros((0, 4, *SIZE), dtype=bool))
    assert evaluate([sample], format_only=True, outfile_prefix=str(prefix)) == {}
    with zipfile.ZipFile(f'{prefix}.zip') as archive:
        assert archive.namelist() == ['results.json']
        entries = json.loads(archive.read('results.json'))
    assert [(e['video_id'], e['category_id'], e['score']) for e in entries] == [
        (5, 4, 0.9),
        (5, 9, 0.9),
    ]
    assert entries[0].keys() == {'video_id', 'category_id', 'score', 'segmentations'}
    decoded = [rle.decode(code) for code in entries[0]['segmentations']]
    np.testing.assert_array_equal(np.stack(decoded), masks()[0])


def test_a_submission_may_be_written_while_scoring(tmp_path):
    scores = evaluate([make_sample(perfect())], outfile_prefix=str(tmp_path / 'run'))
    assert scores['youtube_vis/AP'] == pytest.approx(100)
    assert (tmp_path / 'run.zip').is_file()


def test_an_unseen_object_is_null_in_a_submission(tmp_path):
    part = masks()[0].copy()
    part[1] = False
    sample = make_sample([tube(part)])
    evaluate([sample], format_only=True, outfile_prefix=str(tmp_path / 'run'))
    with zipfile.ZipFile(tmp_path / 'run.zip') as archive:
        (entry,) = json.loads(archive.read('results.json'))
    assert [code is None for code in entry['segmentations']] == [False, True, False, False]


@pytest.mark.parametrize(
    ('tubes', 'message'),
    [
        ([tube(masks(3)[0])], r'clip 5: pred_tubes: expected masks of 4 frames, got 3'),
        ([tube(masks()[0][:, ::2])], r'\(20, 30\), got \[\(10, 30\)\]'),
        ([tube(masks()[0], label=2)], r'labels of things in \[0, 2\), got 2'),
    ],
)
def test_tubes_that_do_not_fit_are_named(tubes, message):
    with pytest.raises(UserError, match=message):
        evaluate([make_sample(tubes)])


def test_missing_tubes_are_named():
    sample = make_sample([])
    del sample['pred_tubes']
    with pytest.raises(UserError, match="clip 5: expected 'pred_tubes'"):
        evaluate([sample])


def test_a_submission_needs_a_place():
    with pytest.raises(ValueError, match='outfile_prefix: expected a path'):
        evaluate([], format_only=True)
