"""The dense auxiliary loss."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.heads import SemanticAuxiliary
from seg.models.losses import Targets
from seg.utils.checks import UserError


def make_target(labels, frames=1):
    masks = torch.zeros(len(labels), frames, 16, 16, dtype=torch.bool)
    for i in range(len(labels)):
        masks[i, ..., 4 * i : 4 * i + 4] = True
    return Targets(masks, torch.tensor(labels, dtype=torch.long))


def loss_of(module, feats, targets):
    return module.loss(feats, module.prepare(feats, targets))


def test_pixels_of_unknown_class_do_not_count():
    module, feats = SemanticAuxiliary(5, 3), torch.randn(1, 1, 5, 4, 4)
    loss = loss_of(module, feats, [make_target([2, -1, 0])])
    logits = module.conv(feats[0])[0]
    pixels = torch.cat([logits[:, :, 0].T, logits[:, :, 2].T])
    expected = F.cross_entropy(pixels, torch.tensor([2] * 4 + [0] * 4))

    torch.testing.assert_close(loss, expected)


def test_segments_count_alike_whatever_their_size():
    module, feats = SemanticAuxiliary(5, 3), torch.randn(1, 1, 5, 4, 4)
    masks = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    masks[0, :, :12], masks[1, :, 12:] = True, True
    loss = loss_of(module, feats, [Targets(masks, torch.tensor([2, 0]))])
    logits = module.conv(feats[0])[0].flatten(1).T
    large = F.cross_entropy(logits[:12], torch.full((12,), 2))
    small = F.cross_entropy(logits[12:], torch.zeros(4, dtype=torch.long))

    torch.testing.assert_close(loss, (large + small) / 2)


def test_pixels_count_alike_without_balance():
    module, feats = SemanticAuxiliary(5, 3, balance=0.0), torch.randn(1, 1, 5, 4, 4)
    masks = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    masks[0, :, :12], masks[1, :, 12:] = True, True
    loss = loss_of(module, feats, [Targets(masks, torch.tensor([2, 0]))])
    logits = module.conv(feats[0])[0].flatten(1).T
    expected = F.cross_entropy(logits, torch.tensor([2] * 12 + [0] * 4))

    torch.testing.assert_close(loss, expected)


def test_balance_lies_between():
    with pytest.raises(ValueError, match=r'balance: expected 0 to 1, got 1\.5'):
        SemanticAuxiliary(5, 3, balance=1.5)


@pytest.mark.parametrize('labels', [[], [-1]])
def test_nothing_known_is_zero_with_a_graph(labels):
    module, feats = SemanticAuxiliary(5, 3), torch.randn(2, 2, 5, 4, 4, requires_grad=True)
    loss = loss_of(module, feats, [make_target(labels, 2)] * 2)
    loss.backward()

    assert loss.item() == 0
    assert module.conv.weight.grad is not None


def test_every_parameter_gets_a_gradient():
    module = SemanticAuxiliary(5, 3)
    loss_of(module, torch.randn(1, 2, 5, 4, 4), [make_target([0, 1, 2], 2)]).backward()

    assert all(p.grad.any() for p in module.parameters())


def test_it_is_alone_in_the_first_part_of_a_training():
    module = SemanticAuxiliary(5, 3, alone_until=0.25)
    with pytest.raises(UserError, match='SteeringHook'):
        _ = module.is_alone
    alone = []
    for progress in (0.0, 0.2, 0.25, 1.0):
        module.begin_step(progress)
        alone.append(module.is_alone)
    assert alone == [True, True, False, False]
    assert not SemanticAuxiliary(5, 3).is_alone


@pytest.mark.parametrize('share', [-0.1, 1.0])
def test_part_alone_is_less_than_all(share):
    with pytest.raises(ValueError, match=r'alone_until: expected .* less than 1, got'):
        SemanticAuxiliary(5, 3, alone_until=share)
