"""Divisors that several processes share."""

import pytest
import torch

from seg.models.losses import StepAverages
from seg.structures import Task

CPU = torch.device('cpu')


def test_one_process_gets_its_own_counts():
    averages = StepAverages(['masks', 'segments'])(Task.VOS, {'masks': 7}, CPU)

    assert averages == {'masks': 7.0}


def test_processes_average_with_those_of_their_task(monkeypatch):
    """What three other processes counted is added as an all-reduce would."""
    step = StepAverages(['masks', 'segments'])
    reduced = []

    def all_reduce(table):
        reduced.append(table.shape)
        others = torch.zeros_like(table)
        others[list(Task).index(Task.PANOPTIC)] = torch.tensor([1.0, 9.0, 4.0])
        others[list(Task).index(Task.VOS)] = torch.tensor([2.0, 50.0, 0.0])
        table += others

    monkeypatch.setattr('seg.models.losses.step_averages.is_distributed', lambda: True)
    monkeypatch.setattr('torch.distributed.all_reduce', all_reduce)
    found = step(Task.PANOPTIC, {'masks': 5.0, 'segments': torch.tensor(2.0)}, CPU)
    clicks = step(Task.INTERACTIVE_IMAGE, {'masks': 3.0}, CPU)

    assert found == {'masks': 7.0, 'segments': 3.0}
    assert clicks == {'masks': 3.0}
    assert reduced == [(4, 3)] * 2  # the same collective whatever the task


def test_a_count_without_a_place_is_a_mistake():
    with pytest.raises(ValueError, match='tuple'):
        StepAverages(['masks'])(Task.VOS, {'mask': 1}, CPU)
