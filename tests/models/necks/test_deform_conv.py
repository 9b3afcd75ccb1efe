"""The way of deformable convolution on CPUs gives what torchvision's operator gives."""

from types import SimpleNamespace

import pytest
import torch
from torchvision.ops import deform_conv2d

from seg.models.necks import deform_conv
from seg.models.necks.deform_conv import ModulatedDeformConv, sampled_deform_conv


def make_inputs(batch=2, channels=6, out=5, size=(7, 9), spread=2.0):
    x = torch.randn(batch, channels, *size)
    offsets = spread * torch.randn(batch, 18, *size)
    return x, offsets, torch.rand(batch, 9, *size), torch.randn(out, channels, 3, 3)


@pytest.mark.parametrize('spread', [0.0, 0.4, 3.0, 40.0])
@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_equals_torchvision(spread, layout):
    x, offsets, modulation, weight = make_inputs(spread=spread)
    bias = torch.randn(5)

    got = sampled_deform_conv(x.to(memory_format=layout), offsets, modulation, weight, bias)

    expected = deform_conv2d(x, offsets, weight, bias, padding=1, mask=modulation)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_whole_offsets_at_the_border_and_beyond():
    x, _, modulation, weight = make_inputs()
    steps = torch.tensor([-9.0, -2.0, -1.0, 0.0, 1.0, 2.0, 9.0])
    offsets = steps[torch.randint(7, (2, 18, 7, 9))]

    got = sampled_deform_conv(x, offsets, modulation, weight)

    expected = deform_conv2d(x, offsets, weight, padding=1, mask=modulation)
    torch.testing.assert_close(got, expected, atol=1e-5, rtol=1e-5)


def test_chunks_change_nothing(monkeypatch):
    inputs = make_inputs()
    whole = sampled_deform_conv(*inputs)
    monkeypatch.setattr(deform_conv, 'CHUNK_VALUES', 54 * 10)  # ten pixels of 126

    torch.testing.assert_close(sampled_deform_conv(*inputs), whole)


def test_offsets_without_bounds_are_outside():
    x, offsets, modulation, weight = make_inputs()
    offsets = torch.full_like(offsets, 1e20)

    assert not sampled_deform_conv(x, offsets, modulation, weight).any()


def test_a_layer_gives_the_same_with_and_without_gradients():
    layer = ModulatedDeformConv(4, 3)
    torch.nn.init.normal_(layer.offset_conv.weight)
    x = torch.randn(1, 4, 6, 5)
    with torch.no_grad():
        sampled = layer(x)

    torch.testing.assert_close(layer(x), sampled, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(('stream', 'own_way'), [('default', False), ('another', True)])
def test_streams_that_torchvision_does_not_start_on(monkeypatch, stream, own_way):
    monkeypatch.setattr(torch.cuda, 'default_stream', lambda device: 'default')
    monkeypatch.setattr(torch.cuda, 'current_stream', lambda device: stream)
    on_gpu = SimpleNamespace(device=torch.device('cuda:0'))

    with torch.no_grad():
        assert deform_conv._samples_itself(on_gpu) is own_way
    assert not deform_conv._samples_itself(on_gpu), "gradients are torchvision's"
