"""Following objects from annotated frames on, and again where something was corrected."""

import numpy as np
import pytest

from seg.apis.annotation import AnnotationModel, AnnotationSession, Origin
from seg.testing.fake_annotation import FakeAnnotationModel, fake_video
from seg.testing.fake_segmentor import FakeSegmentor
from seg.testing.tiny_rapsam import model_for_programs, tiny_video_cfg
from seg.utils.checks import UserError

NUM_FRAMES = 6


@pytest.fixture
def model():
    return FakeAnnotationModel()


@pytest.fixture
def session(model):
    session = AnnotationSession(model)
    item = session.open(fake_video(NUM_FRAMES), 'clip')
    item.add_click(item.add_object('star'), 15, 20, frame=1)
    return session


def origins(item, object_id=1):
    masks = item.object(object_id).masks
    return ''.join(masks[f].origin.value[0] if f in masks else '.' for f in range(NUM_FRAMES))


def test_forwards_to_the_end_and_backwards_to_the_first(session):
    item = session.item('i1')
    steps = list(session.propagate('i1', 1))
    assert [step.frame for step in steps] == [1, 2, 3, 4, 5]
    assert (steps[-1].done, steps[-1].total) == (5, 5)
    assert origins(item) == '.pffff'
    list(session.propagate('i1', 1, backward=True))
    assert origins(item) == 'bpffff'
    assert item.timeline().followed == [0, 2, 3, 4, 5]
    assert np.array_equal(item.mask(1, 3), np.roll(item.mask(1, 1), 2, 1))


def test_a_limit_of_frames_holds(session):
    list(session.propagate('i1', 1, num_frames=2))
    assert origins(session.item('i1')) == '.pff..'


def test_stopping_keeps_what_was_done_and_is_one_step(session):
    item = session.item('i1')
    run = session.propagate('i1', 1)
    for step in run:
        with pytest.raises(UserError, match='being followed'):
            item.undo()
        if step.done == 3:
            run.stop()
    assert origins(item) == '.pff..'
    item.undo()
    assert origins(item) == '.p....'
    item.redo()
    assert origins(item) == '.pff..'


def test_a_consumer_that_goes_away_leaves_the_item_usable(session):
    item = session.item('i1')
    run = iter(session.propagate('i1', 1))
    next(run)
    next(run)
    run.close()
    assert origins(item) == '.pf...'
    item.add_object()


def test_corrections_stand_and_only_what_follows_them_is_done_again(session, model):
    item = session.item('i1')
    item.add_click(item.add_object('moon'), 40, 20, frame=1)
    list(session.propagate('i1', 1))
    moon = [item.mask(2, frame) for frame in range(1, 6)]
    item.add_click(1, 30, 30, frame=3)
    assert item.timeline().corrected == [3]
    corrected = item.mask(1, 3)
    model.steps.clear()
    run = session.propagate_changed('i1')
    assert run.total == 3
    list(run)
    assert model.steps == [[1], [1], [1]]
    assert origins(item) == '.pfpff'
    assert np.array_equal(item.mask(1, 5), np.roll(corrected, 2, 1))
    assert all(np.array_equal(a, item.mask(2, f)) for f, a in enumerate(moon, start=1))
    with pytest.raises(UserError, match='corrections'):
        session.propagate_changed('i1')


def test_corrections_between_anchors_end_at_the_next_one(session, model):
    item = session.item('i1')
    item.add_click(1, 50, 10, frame=4)
    list(session.propagate('i1', 1))
    assert origins(item) == '.pffpf'
    item.add_click(1, 30, 30, frame=2)
    model.steps.clear()
    list(session.propagate_changed('i1'))
    assert len(model.steps) == 2  # frames 2 and 3
    assert origins(item) == '.ppfpf'


def test_a_frame_without_the_object_is_nothing_to_follow_from(session):
    item = session.item('i1')
    list(session.propagate('i1', 1))
    item.set_mask(1, None, frame=3)
    assert session.num_changed('i1') == 0
    item.clear_frame(1, frame=2)
    assert session.num_changed('i1') == 0
    item.add_click(1, 30, 30, frame=3)
    assert session.num_changed('i1') == 2


def test_what_was_stopped_goes_on_where_it_stopped(session):
    item = session.item('i1')
    list(session.propagate('i1', 1))
    item.add_click(1, 30, 30, frame=1)
    run = session.propagate_changed('i1')
    for step in run:
        if step.done == 3:
            run.stop()
    rest = session.propagate_changed('i1')
    assert [step.frame for step in rest] == [3, 4, 5]
    assert np.array_equal(item.mask(1, 5), np.roll(item.mask(1, 1), 4, 1))


def test_objects_join_on_their_own_frame_and_absence_is_kept(session, model):
    item = session.item('i1')
    item.add_click(item.add_object('late'), 40, 20, frame=3)
    item.set_mask(1, None, frame=4)
    list(session.propagate('i1', 1))
    assert origins(item, 2) == '...pff'
    assert origins(item, 1)[4] == 'f'
    assert item.object(1).masks[4].origin is Origin.FILE
    assert not item.mask(1, 4).any()


def test_nothing_to_follow_is_said(session):
    item = session.item('i1')
    item.add_object('empty')
    for call, message in (
        (lambda: session.propagate('i1', 2), 'click on an object first'),
        (lambda: session.propagate('i1', 9), 'frame'),
        (lambda: session.propagate('i1', 1, object_ids=[2]), 'click on an object first'),
        (lambda: session.propagate('i1', 1, num_frames=0), 'num_frames'),
        (lambda: session.propagate_changed('i1'), 'corrections'),
    ):
        with pytest.raises(UserError, match=message):
            call()


def test_models_without_memory_annotate_frame_by_frame():
    session = AnnotationSession(AnnotationModel(FakeSegmentor(), 'still'))
    item = session.open(fake_video(3))
    item.add_object()
    for frame in range(3):
        item.add_click(1, 10 + frame, 10, frame=frame)
    with pytest.raises(UserError, match='still, which sees one image at a time'):
        session.propagate('i1', 0)


@pytest.mark.parametrize('task', ['vos', 'interactive_video'])
def test_a_model_with_memory_follows(task):
    model = AnnotationModel(model_for_programs(tiny_video_cfg()), 'tiny')
    session = AnnotationSession(model)
    item = session.open(fake_video(4, (48, 64)))
    item.set_box(item.add_object(), [10, 8, 40, 30], frame=1)
    drawn = np.zeros((48, 64), bool)
    drawn[20:40, 40:60] = True
    item.set_mask(item.add_object(), drawn, frame=1)
    list(session.propagate('i1', 1, task=task))
    list(session.propagate('i1', 1, task=task, backward=True))
    assert sorted(item.object(2).masks) == [0, 1, 2, 3]
    assert np.array_equal(item.mask(2, 1), drawn)
    item.add_click(2, 50, 30, frame=2)
    assert session.propagate_changed('i1').total == 2
