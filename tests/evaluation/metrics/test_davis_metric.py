import numpy as np
import pytest
import torch
from mmengine.structures import InstanceData

from seg.evaluation.functional.davis import davis_summary, score_objects
from seg.registry import METRICS
from seg.structures import ClipSample, Prompts, TrackData
from seg.utils.checks import UserError

SIZE = (40, 60)


def moving(num_frames=6, swap_at=None, appear=0):
    """Two objects that move; object 7 appears in a frame, and ids may be swapped from one on."""
    maps = np.zeros((num_frames, *SIZE), dtype=np.int32)
    for t in range(num_frames):
        maps[t, 5:15, 5 + 2 * t : 15 + 2 * t] = 3
        if t >= appear:
            maps[t, 20 + t : 30 + t, 30:50] = 7
        if swap_at is not None and t >= swap_at:
            maps[t] = np.select([maps[t] == 3, maps[t] == 7], [7, 3])
    return maps


def make_sample(truth, prediction, object_ids=(3, 7), crowds=(), img_id='cat', **meta):
    ids = torch.tensor(sorted(set(np.unique(truth).tolist()) - {0}))
    sample = ClipSample(metainfo={'img_id': img_id, **meta})
    sample.gt_segments = InstanceData(
        masks=torch.from_numpy(truth) == ids[:, None, None, None],
        labels=torch.full((len(ids),), -1),
        object_ids=ids,
        is_crowd=torch.tensor([i in crowds for i in ids.tolist()]),
    )
    sample.pred_tracks = TrackData(torch.from_numpy(prediction), tuple(object_ids))
    return sample.to_dict()


def evaluate(samples, **settings):
    metric = METRICS.build({'type': 'DavisMetric', **settings})
    for sample in samples:
        metric.process(None, [sample])
    return metric.evaluate(len(samples))


def test_perfect_tracks_score_one_hundred():
    scores = evaluate([make_sample(moving(), moving())])
    assert {name: scores[f'davis/{name}'] for name in ('J&F', 'J', 'F', 'J_recall')} == {
        'J&F': 100,
        'J': 100,
        'F': 100,
        'J_recall': 100,
    }
    assert scores['davis/J_decay'] == 0


def test_as_the_functions_on_all_but_the_ends():
    truth, prediction = moving(), np.roll(moving(), 3, axis=2)
    scores = evaluate([make_sample(truth, prediction)])
    found = score_objects(zip(truth[1:-1], prediction[1:-1], strict=True), [3, 7])
    summary = davis_summary({'a': (found.j[0], found.f[0]), 'b': (found.j[1], found.f[1])})
    assert scores['davis/J&F'] == pytest.approx(100 * summary['J&F-Mean'])
    assert scores['davis/F_decay'] == pytest.approx(100 * summary['F-Decay'])
    assert 10 < scores['davis/J&F'] < 90


def test_a_swap_of_identities_costs_both_objects():
    scores = evaluate([make_sample(moving(), moving(swap_at=3))])
    assert scores['davis/J'] == scores['davis/F'] == 50  # frames 1 and 2 of 1 to 4


def test_the_ends_are_scored_when_asked_for():
    prediction = moving()
    prediction[0] = prediction[-1] = 0
    sample = make_sample(moving(), prediction)
    assert evaluate([sample])['davis/J'] == 100
    assert evaluate([sample], skip_ends=False)['davis/J'] == pytest.approx(100 * 4 / 6)


def test_an_object_counts_from_the_frame_after_it_appeared():
    truth, prediction = moving(appear=2), moving(appear=3)
    assert evaluate([make_sample(truth, prediction)])['davis/J'] == 100
    late = moving(appear=4)
    # object 3: frames 1 to 4, all right; object 7: frames 3 and 4, of which one is missed
    assert evaluate([make_sample(truth, late)])['davis/J'] == 75


def test_objects_that_nothing_can_be_predicted_for_are_left_out():
    truth = moving(appear=5)
    assert evaluate([make_sample(truth, moving(appear=9), (3,))])['davis/J'] == 100


def test_only_annotated_frames_count():
    truth, prediction = moving(), moving()
    truth[[1, 3]] = 0
    prediction[[1, 3]] = 3
    sample = make_sample(truth, prediction, annotated_frames=(0, 2, 4, 5))
    assert evaluate([sample])['davis/J'] == 100
    assert evaluate([make_sample(truth, prediction)])['davis/J'] < 100


def test_crowds_are_no_objects():
    sample = make_sample(moving(), np.where(moving() == 3, 3, 0).astype(np.int32), (3,), (7,))
    assert evaluate([sample])['davis/J'] == 100


def test_objects_of_all_clips_have_the_same_weight():
    good = make_sample(moving(), moving(), img_id='good')
    bad = make_sample(moving(), moving() * 0, img_id='bad')
    one = np.where(moving() == 3, 3, 0).astype(np.int32)
    alone = make_sample(one, one, (3,), img_id='alone')
    assert evaluate([good, bad, alone])['davis/J'] == pytest.approx(100 * 3 / 5)


def test_unsupervised_objects_may_have_any_id():
    renamed = np.select([moving() == 3, moving() == 7], [40, 11]).astype(np.int32)
    sample = make_sample(moving(), renamed, (40, 11))
    assert evaluate([sample], protocol='unsupervised')['davis/J&F'] == 100
    swapped = np.select([moving(swap_at=3) == 3, moving(swap_at=3) == 7], [40, 11])
    sample = make_sample(moving(), swapped.astype(np.int32), (40, 11))
    assert evaluate([sample], protocol='unsupervised')['davis/J'] == 50


def test_unsupervised_crowds_are_void():
    truth = np.where(moving() == 7, 7, 3 * (moving() == 3)).astype(np.int32)
    sample = make_sample(truth, np.where(moving() > 0, 1, 0).astype(np.int32), (1,), crowds=(7,))
    assert evaluate([sample], protocol='unsupervised')['davis/J'] == 100


def test_missing_masks_are_named():
    sample = make_sample(moving(), moving())
    sample.pop('pred_tracks')
    with pytest.raises(UserError, match="clip cat: expected 'pred_tracks'"):
        evaluate([sample])
    with pytest.raises(UserError, match=r'\(3,\) without 7; follow it'):
        evaluate([make_sample(moving(), np.where(moving() == 3, 3, 0).astype(np.int32), (3,))])
    with pytest.raises(UserError, match=r'\(6, 40, 60\).*got \(5, 40, 60\)'):
        evaluate([make_sample(moving(), moving(5))])
    with pytest.raises(UserError, match=r'\(6, 40, 60\).*got \(6, 20, 60\)'):
        evaluate([make_sample(moving(), moving()[:, ::2].copy())])


def test_settings_are_checked():
    with pytest.raises(UserError, match="mean 'unsupervised'"):
        evaluate([], protocol='unsupervise')
    many = make_sample(moving(), moving(), range(3, 30))
    with pytest.raises(UserError, match='at most 20 objects, got 27'):
        evaluate([many], protocol='unsupervised')


def with_prompts(sample, rows):
    """Rows of (object id, frame)."""
    ids, frames = torch.tensor(rows).T
    boxes = torch.tensor([[0.0, 0, 5, 5]]).expand(len(rows), 4)
    sample['prompts'] = Prompts.create(boxes=boxes, object_ids=ids, frame_index=frames)
    return sample


def test_prompts_say_which_objects_are_scored_and_from_when():
    truth, prediction = moving(), moving()
    prediction[:3] = 0
    both = make_sample(truth, prediction)
    assert evaluate([with_prompts(both, [(7, 2), (7, 4)])])['davis/J'] == 100
    assert evaluate([with_prompts(both, [(7, 4), (7, 0)])])['davis/J'] == 50
    with pytest.raises(UserError, match=r'prompts.object_ids: .* got \[8\]'):
        evaluate([with_prompts(both, [(8, 0)])])
