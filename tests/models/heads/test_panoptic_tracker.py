"""Ids of found things over the frames of a clip."""

import pytest
import torch

from seg.models.heads.panoptic_tracker import FoundThings, PanopticTracker
from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_prompted_cfg, toy_sample


def things(*columns, looks=None):
    """Squares at columns; by default each looks different."""
    masks = torch.zeros(len(columns), 8, 24)
    for row, column in enumerate(columns):
        masks[row, 2:6, column : column + 4] = 1
    looks = range(len(columns)) if looks is None else looks
    queries, probs = torch.eye(6)[list(looks)], torch.eye(3)[[look % 3 for look in looks]]
    return FoundThings(queries, 0.9 * probs, masks)


def follow(tracker, *frames):
    tracks, ids = tracker.start(frames[0].queries, frames[0].masks), []
    for found in frames:
        tracks, now = tracker(tracks, found)
        ids.append(now.tolist())
    return tracks, ids


def test_ids_stay_when_things_move_and_come_in_another_order():
    tracker = PanopticTracker(3, 1)
    _, ids = follow(tracker, things(0, 10), things(11, 1, looks=(1, 0)), things(2, 12))

    assert ids == [[1, 2], [2, 1], [1, 2]]


def test_a_new_thing_gets_a_new_id_and_an_old_one_may_return():
    tracker = PanopticTracker(3, 1, max_missed=3)
    both, one = things(0, 10), things(0)
    _, ids = follow(tracker, both, one, one, both, things(0, 10, 18))

    assert ids == [[1, 2], [1], [1], [1, 2], [1, 2, 3]]


def test_a_thing_that_is_away_for_too_long_is_another_one():
    tracker = PanopticTracker(3, 1, max_missed=1)
    both, one = things(0, 10), things(0)

    assert follow(tracker, both, one, one, both)[1][-1] == [1, 3]


def test_the_class_is_that_of_the_mean():
    tracker = PanopticTracker(3, 1)
    first = things(0)
    odd = FoundThings(first.queries, torch.tensor([[0.3, 0.6, 0.0]]), first.masks)
    tracks, _ = follow(tracker, first, odd)

    assert tracks.labels.tolist() == [0]


def test_nothing_found_is_fine():
    tracker = PanopticTracker(3, 1)

    assert follow(tracker, things(), things(0), things())[1] == [[], [1], []]


@torch.no_grad()
def test_a_clip_gets_one_map_per_frame_and_tubes():
    torch.manual_seed(0)
    cfg = tiny_prompted_cfg(
        panoptic_tracker=dict(type='PanopticTracker'),
        fusion=dict(type='PanopticFusion', object_mask_thr=0.0, iou_thr=0.0),
    )
    model = MODELS.build(cfg).eval()
    clip, sample = toy_sample('panoptic', num_frames=10)
    (result,) = model.test_step({'inputs': [clip], 'data_samples': [sample]})
    panoptic = result.pred_panoptic
    known = {segment.id for segment in panoptic.segments}

    assert panoptic.segment_map.shape == (10, 64, 64)
    assert set(panoptic.segment_map.unique().tolist()) <= {0, *known}
    assert all(len(tube.rles) == 10 for tube in result.pred_tubes)


@pytest.mark.parametrize('settings', [dict(momentum=1.0), dict(max_missed=-1)])
def test_wrong_settings(settings):
    with pytest.raises(ValueError, match='PanopticTracker'):
        PanopticTracker(3, 1, **settings)
