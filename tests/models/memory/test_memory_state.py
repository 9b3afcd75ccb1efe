"""What is remembered: objects come and go, files carry it."""

from dataclasses import replace

import pytest
import torch

from seg.models.memory import MemoryState
from seg.utils.checks import UserError


def make_state(num_frames=3, ids=(4, 9)):
    """A memory whose values tell frame and slot apart."""
    state = MemoryState.empty((2, 3), (4, 6), key_channels=5, feat_channels=8).with_objects(ids)
    shape = (num_frames, len(ids))
    slots = torch.arange(len(ids)).float()
    return replace(
        state,
        num_seen=torch.tensor(num_frames),
        frame_index=torch.arange(num_frames),
        keys=torch.rand(num_frames, 5, 2, 3),
        covers=slots.view(1, -1, 1, 1).expand(*shape, 2, 3).clone(),
        tokens=torch.rand(*shape, 8),
        written=torch.ones(shape, dtype=torch.bool),
        prompted=torch.zeros(shape, dtype=torch.bool),
        quality=torch.full(shape, 0.5),
    )


def test_new_objects_get_the_next_slots_and_old_ones_keep_theirs():
    state = make_state().with_objects([9, 7])

    assert state.object_ids.tolist() == [4, 9, 7]
    assert state.slot(7) == 2
    assert state.covers.shape == (3, 3, 2, 3)
    assert not state.written[:, 2].any()
    assert state.covers[:, 1].eq(1).all()


def test_a_removed_object_takes_what_only_it_was_remembered_by():
    state = make_state()
    written = state.written.clone()
    written[1] = torch.tensor([True, False])
    rest = replace(state, written=written).without_object(4)

    assert rest.object_ids.tolist() == [9]
    assert rest.frame_index.tolist() == [0, 2]
    assert rest.covers.eq(1).all()


def test_an_unknown_object_is_named():
    with pytest.raises(UserError, match=r'object_id 5: .*known: 4, 9'):
        make_state().without_object(5)


def test_it_survives_a_file(tmp_path):
    state = make_state()
    torch.save(state.state_dict(), tmp_path / 'memory.pt')
    back = MemoryState.from_state_dict(torch.load(tmp_path / 'memory.pt', weights_only=True))

    for name, tensor in state.state_dict().items():
        assert torch.equal(back.state_dict()[name], tensor), name


def test_a_file_from_before_there_were_doubts_is_read():
    tensors = make_state().state_dict()
    del tensors['doubted']

    assert not MemoryState.from_state_dict(tensors).doubted.any()


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (lambda t: t.pop('keys'), 'expected the tensors'),
        (lambda t: t.update(covers=t['covers'][:, :1]), 'memory.covers: expected'),
        (lambda t: t.update(quality=t['quality'][:1]), 'memory.quality: expected'),
    ],
)
def test_a_damaged_file_is_refused(change, message):
    tensors = make_state().state_dict()
    change(tensors)

    with pytest.raises(UserError, match=message):
        MemoryState.from_state_dict(tensors)
