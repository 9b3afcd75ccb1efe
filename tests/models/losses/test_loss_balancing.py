"""Balanced losses: by hand, over a training, and in two processes."""

import importlib

import pytest
import torch

from seg.models.losses import DynamicWeightAverage, EmaRatio, PromptCriterion, UncertaintyWeights
from seg.testing.processes import in_processes
from seg.utils.checks import UserError

NAMES = ('dice', 'bce')
KINDS = [DynamicWeightAverage, EmaRatio, UncertaintyWeights]


def bound(kind, **settings):
    balancer = kind(**settings)
    balancer.bind(NAMES)
    balancer.begin_step(0.0)
    return balancer


def step(balancer, *values):
    found = balancer(dict(zip(NAMES, torch.tensor(values), strict=True)))
    balancer.end_step()
    return found


def test_dwa_follows_the_means_of_two_periods():
    balancer = bound(DynamicWeightAverage, period=2)
    for values in ((2.0, 4.0), (4.0, 4.0), (1.0, 4.0)):
        assert step(balancer, *values) == {'dice': values[0], 'bce': values[1]}
    step(balancer, 2.0, 4.0)  # means are 3 and 4, then 1.5 and 4: ratios 0.5 and 1
    expected = 2 * (torch.tensor([0.5, 1.0]) / 2).softmax(dim=0)
    assert torch.allclose(balancer.weights(), expected)
    assert torch.allclose(step(balancer, 1.0, 1.0)['bce'], expected[1])


def test_dwa_clamps_ratios():
    balancer = bound(DynamicWeightAverage, period=1)
    step(balancer, 1.0, 1.0)
    step(balancer, 100.0, 0.001)
    assert torch.allclose(balancer.weights(), 2 * (torch.tensor([2.0, 0.5]) / 2).softmax(dim=0))


def test_ema_ratio_brings_losses_to_one_size():
    balancer = bound(EmaRatio, momentum=0.5)
    assert step(balancer, 4.0, 1.0) == {'dice': 4.0, 'bce': 1.0}
    found = step(balancer, 4.0, 1.0)
    assert torch.allclose(found['dice'], found['bce'])
    assert balancer.weights().mean() == 1
    step(balancer, 0.0, 1.0)
    assert balancer.means.tolist() == [2.0, 1.0]


def test_uncertainty_is_learned():
    balancer = bound(UncertaintyWeights)
    losses = {name: torch.tensor(value) for name, value in zip(NAMES, (9.0, 0.1), strict=True)}
    assert balancer(losses) == losses
    optimizer = torch.optim.SGD(balancer.parameters(), lr=0.1)
    for _ in range(300):
        optimizer.zero_grad()
        sum(balancer(losses).values()).backward()
        optimizer.step()
    assert torch.allclose(balancer.weights(), torch.tensor([1 / 9, 10.0]), rtol=0.05)
    with torch.no_grad():
        balancer.log_vars.fill_(100.0)
    assert torch.allclose(balancer.weights(), torch.exp(torch.tensor(-4.0)).expand(2))


@pytest.mark.parametrize('kind', KINDS)
def test_state_is_beside_the_weights_and_goes_on_exactly(kind):
    first, second = bound(kind), bound(kind)
    for i in range(5):
        step(first, 1.0 + i, 2.0)
    assert not first.state_dict()
    second.load_steering_state(first.steering_state())
    assert torch.equal(first.weights(), second.weights())
    assert first.steering_state().keys() == second.steering_state().keys()


@pytest.mark.skipif(torch.cuda.is_available(), reason='fork after CUDA has started')
@pytest.mark.parametrize('kind', KINDS[:2])
def test_two_processes_have_the_same_weights(kind):
    """They see different losses, and one of them sees none at all in some iterations."""

    def work(rank):
        torch.distributed.init_process_group('gloo')
        settings = dict(period=2) if kind is DynamicWeightAverage else {}
        balancer = bound(kind, **settings)
        for i in range(6):
            if i == 3 and rank == 1:
                balancer.end_step()
            else:
                step(balancer, 1.0 + rank * i, 3.0 / (1 + i))
        return balancer.steering_state(), balancer.weights()

    importlib.import_module('mmengine.dist')
    (first, weights), (second, others) = in_processes(work)
    assert torch.equal(weights, others)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
    alone = bound(kind, **(dict(period=2) if kind is DynamicWeightAverage else {}))
    for i in range(6):
        step(alone, 1.0, 3.0 / (1 + i))
    assert not torch.equal(weights, alone.weights())


def test_without_the_hook_they_say_so():
    balancer = DynamicWeightAverage()
    balancer.bind(NAMES)
    with pytest.raises(UserError, match='add dict\\(type=SteeringHook\\) to custom_hooks'):
        balancer(dict(dice=torch.tensor(1.0), bce=torch.tensor(1.0)))


def test_one_loss_cannot_be_balanced():
    with pytest.raises(UserError, match='expected at least two losses'):
        PromptCriterion(
            [dict(type='MaskDiceLoss')], iou_weight=0, balancer=dict(type='DynamicWeightAverage')
        )
    with pytest.raises(UserError, match='period >= 1'):
        DynamicWeightAverage(period=0)
    with pytest.raises(UserError, match=r'momentum: expected a number in \[0, 1\)'):
        EmaRatio(momentum=1.0)
