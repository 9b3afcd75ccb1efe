"""Which frames stay."""

from dataclasses import replace

import pytest
import torch

from seg.benchmark.waits import count_waits
from seg.models.memory import MemoryBank, MemoryState, StreamingMemoryAdapter
from seg.models.memory.memory_bank import novelty


def make_state(quality, prompted_at=0, tokens=None):
    """One object on as many frames as there are qualities."""
    count = len(quality)
    prompted = torch.zeros(count, 1, dtype=torch.bool)
    prompted[prompted_at] = True
    state = MemoryState.empty((1, 1), (1, 1), key_channels=1, feat_channels=2).with_objects([1])
    return replace(
        state,
        frame_index=torch.arange(count),
        keys=torch.zeros(count, 1, 1, 1),
        covers=torch.ones(count, 1, 1, 1),
        tokens=torch.ones(count, 1, 2) if tokens is None else tokens,
        written=torch.ones(count, 1, dtype=torch.bool),
        prompted=prompted,
        quality=torch.tensor(quality).view(-1, 1),
        num_firsts=1,
    )


def test_fifo_keeps_the_first_prompted_the_last_and_the_latest_before():
    bank = MemoryBank(short_mem_size=2, long_mem_size=3, update_strategy='fifo')

    assert bank.kept(make_state([0.5] * 10)).tolist() == [0, 5, 6, 7, 8, 9]


def test_quality_drops_the_poorest_key_frames():
    bank = MemoryBank(2, 2, 'quality')
    state = make_state([0.1, 0.9, 0.2, 0.8, 0.3, 0.0, 0.0])

    assert bank.kept(state).tolist() == [0, 1, 3, 5, 6]


def test_adaptive_drops_what_others_show_as_well():
    tokens = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.01], [1.0, 0.0], [1.0, 0.0]])
    state = make_state([0.9, 0.6, 0.9, 0.9, 0.9], tokens=tokens.unsqueeze(1))

    assert MemoryBank(1, 1, 'adaptive').kept(state).tolist() == [0, 1, 4]
    assert MemoryBank(1, 1, 'quality').kept(state).tolist() != [0, 1, 4]


@pytest.mark.parametrize('strategy', ['fifo', 'quality', 'adaptive'])
def test_the_first_prompted_frame_is_never_evicted(strategy):
    state = make_state([0.5, 0.5, 0.0, *[0.9] * 12], prompted_at=2)

    assert 2 in MemoryBank(1, 1, strategy).kept(state).tolist()


def test_later_corrections_may_go():
    state = make_state([0.5] * 6)
    prompted = state.prompted.clone()
    prompted[2] = True

    assert MemoryBank(1, 1).kept(replace(state, prompted=prompted)).tolist() == [0, 4, 5]


def test_what_shows_no_object_is_the_first_to_go():
    state = make_state([0.5] * 6)
    written = state.written.clone()
    written[3:5] = False
    state = replace(state, written=written)

    assert MemoryBank(2, 2).kept(state).tolist() == [0, 1, 2, 4, 5]
    assert MemoryBank(2, 1).kept(state).tolist() == [0, 1, 2, 5]
    assert MemoryBank(2, 3).kept(state).tolist() == [0, 1, 2, 3, 4, 5], 'there is room'


def test_which_frames_go_is_not_looked_at():
    state = make_state([0.5] * 9)

    assert not count_waits(lambda: MemoryBank(1, 1, 'adaptive').kept(state))


def test_first_frames_are_counted():
    state = make_state([0.5] * 3)

    assert replace(state, num_firsts=0).with_firsts_counted().num_firsts == 1
    assert MemoryState.from_state_dict(state.state_dict()).num_firsts == 1


def test_novelty_is_one_where_nothing_can_be_compared():
    assert novelty(make_state([0.5]), torch.tensor([True])).tolist() == [1.0]


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(short_mem_size=0), 'short_mem_size >= 1'),
        (dict(update_strategy='lifo'), "unknown strategy 'lifo'.*Did you mean 'fifo'"),
    ],
)
def test_wrong_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        MemoryBank(**settings)


@pytest.mark.parametrize('name', ['visible_score', 'return_score'])
def test_scores_that_nothing_exceeds_are_refused(name):
    with pytest.raises(ValueError, match=rf'{name}: expected a number in \[0, 1\), got 1'):
        StreamingMemoryAdapter(8, **{name: 1.0})
