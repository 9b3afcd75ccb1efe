import pytest
import torch

from seg.utils.constants import made_once


@pytest.fixture
def made():
    return []


@pytest.fixture
def ramp(made):
    @made_once
    def ramp(length: int, device: torch.device) -> torch.Tensor:
        made.append(length)
        return torch.arange(length, device=device).float()

    return ramp


CPU = torch.device('cpu')


def test_each_size_is_made_once(ramp, made):
    first = ramp(3, CPU)
    assert ramp(3, CPU) is first
    assert ramp(4, CPU).tolist() == [0, 1, 2, 3]
    assert made == [3, 4]


def test_what_inference_made_can_be_trained_with(ramp):
    with torch.inference_mode():
        ramp(3, CPU)
    weights = torch.ones(3, requires_grad=True)
    (weights * ramp(3, CPU)).sum().backward()  # keeps the ramp for the gradient
    assert weights.grad.tolist() == [0, 1, 2]


def test_exported_programs_make_their_own(ramp, made):
    class Ramped(torch.nn.Module):
        def forward(self, x):
            return x + ramp(x.shape[0], x.device)

    program = torch.export.export(Ramped(), (torch.zeros(3),))
    assert type(ramp(3, CPU)) is torch.Tensor, 'no stand-in of the exporter was kept'
    assert program.module()(torch.zeros(3)).tolist() == [0, 1, 2]


def test_so_do_cuda_graphs(ramp, made, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: True)
    monkeypatch.setattr(torch.cuda, 'is_current_stream_capturing', lambda: True)
    assert ramp(3, CPU) is not ramp(3, CPU)
    assert made == [3, 3]


def test_few_are_kept(ramp, made):
    for length in range(1, 40):
        ramp(length, CPU)
    ramp(1, CPU)
    assert made.count(1) == 2
