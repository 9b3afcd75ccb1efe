"""Signs of life between processes, here between threads of one."""

import pytest
from torch.distributed import HashStore

from seg.engine.runner.heartbeat import Heartbeat


@pytest.fixture
def beats(monkeypatch):
    monkeypatch.setattr('seg.engine.runner.heartbeat._INTERVAL', 0.02)
    monkeypatch.setattr('seg.engine.runner.heartbeat._QUICK_LIMIT', 0.3)
    store = HashStore()
    made = [Heartbeat(rank, 3, limit=60.0, store=store) for rank in range(3)]
    for beat in made:
        beat.start()
    yield made
    for beat in made:
        beat.stop()


def die(beat):
    """End without a word."""
    beat._stopped.set()
    beat._thread.join()


def test_everybody_hears_who_is_lost(beats):
    die(beats[1])
    for rank in (0, 2):
        beats[rank]._has_failed = True
    for rank in (0, 2):
        assert beats[rank].find_lost().startswith('process 1 (')


def test_who_ended_in_order_is_not_missed(beats):
    beats[1].stop()

    assert beats[0].find_lost() == ''


def test_nobody_is_lost_where_all_beat(beats):
    assert beats[2].find_lost() == ''


def test_a_process_that_hangs_in_a_collective_is_ended(beats, monkeypatch, capsys):
    ended = []
    monkeypatch.setattr('os._exit', ended.append)
    die(beats[1])
    beats[0]._has_failed = True
    beats[0].find_lost()
    beats[2]._thread.join(5)

    assert ended == [2]
    assert 'error: process 1 (' in capsys.readouterr().err
