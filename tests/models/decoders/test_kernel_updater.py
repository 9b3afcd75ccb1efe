"""The gated update of queries."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.decoders import KernelUpdater, ResidualKernelUpdater


def randomise(module):
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return module


def test_published_size():
    with torch.device('meta'):
        updater = KernelUpdater(256)

    assert sum(p.numel() for p in updater.parameters()) == 463_104


def test_values_equal_the_written_out_formula():
    m = randomise(KernelUpdater(6))
    update, queries = torch.randn(2, 3, 6), torch.randn(2, 3, 6)

    def norm(layer, x):
        return F.layer_norm(x, (6,), layer.weight, layer.bias, 1e-5)

    a = update @ m.update_proj.weight.T + m.update_proj.bias
    b = queries @ m.query_proj.weight.T + m.query_proj.bias
    z = a[..., :6] * b[..., :6]
    gate_i = norm(m.query_gate_norm, m.query_gate(z)).sigmoid()
    gate_u = norm(m.update_gate_norm, m.update_gate(z)).sigmoid()
    mixed = gate_u * norm(m.update_norm, a[..., 6:]) + gate_i * norm(m.query_norm, b[..., 6:])
    expected = norm(m.out_norm, m.out_proj(mixed)).clamp(min=0)

    torch.testing.assert_close(m(update, queries), expected)


def test_published_update_is_never_negative():
    updater = randomise(KernelUpdater(8))

    assert updater(10 * torch.randn(4, 9, 8), torch.randn(4, 9, 8)).min() == 0


def test_residual_update_has_both_signs():
    updater = randomise(ResidualKernelUpdater(8))

    assert updater(torch.randn(4, 9, 8), torch.randn(4, 9, 8)).min() < 0


def test_residual_update_has_the_parameters_of_the_published_one():
    ResidualKernelUpdater(8).load_state_dict(KernelUpdater(8).state_dict())


@pytest.mark.parametrize('kind', [KernelUpdater, ResidualKernelUpdater])
def test_every_parameter_gets_a_gradient(kind):
    updater = randomise(kind(8))
    (updater(torch.randn(2, 5, 8), torch.randn(2, 5, 8)) * torch.randn(2, 5, 8)).sum().backward()

    silent = [n for n, p in updater.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize('kind', [KernelUpdater, ResidualKernelUpdater])
def test_update_is_computed_in_float32_under_autocast(kind):
    """Summed features exceed the range of float16 already in the first linear layer."""
    updater = randomise(kind(8))
    update, queries = 1e5 * torch.randn(2, 5, 8), torch.randn(2, 5, 8)
    with torch.autocast('cpu', torch.float16):
        mixed = updater.mix(update, queries)

    assert mixed.dtype == torch.float32
    assert torch.equal(mixed, updater.mix(update, queries))


def test_order_of_queries_does_not_matter():
    updater = randomise(KernelUpdater(8))
    update, queries, order = torch.randn(1, 5, 8), torch.randn(1, 5, 8), torch.randperm(5)

    torch.testing.assert_close(
        updater(update, queries)[:, order], updater(update[:, order], queries[:, order])
    )
