"""The same filters for all pixels, whatever their layout."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from seg.models.pixelwise import are_convolved_as_they_lie, filter_pixels, pointwise, sum_pixels
from seg.utils.devices import as_if_ahead

LAYOUTS = (torch.contiguous_format, torch.channels_last)


@pytest.mark.parametrize('size', [(2, 6, 5, 7), (1, 6, 1, 7), (1, 6, 1, 1), (0, 6, 5, 7)])
@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('count', [1, 2, 4])
def test_pixels_are_multiplied_with_filters(size, layout, count):
    torch.manual_seed(0)
    maps = torch.randn(size).contiguous(memory_format=layout).requires_grad_()
    filters = torch.randn(count, 6, requires_grad=True)
    bias = torch.randn(count, requires_grad=True)
    expected = torch.einsum('bchw,oc->bohw', maps, filters) + bias[:, None, None]
    result = filter_pixels(maps, filters, bias)

    torch.testing.assert_close(result, expected)
    assert result.permute(0, 2, 3, 1).is_contiguous(), 'pixel by pixel'
    wanted = [
        torch.autograd.grad(answer.square().sum(), (maps, filters, bias))
        for answer in (result, expected)
    ]
    for ours, theirs in zip(*wanted, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('count', [1, 4])
def test_autocast_decides_on_the_precision(layout, count):
    maps = torch.randn(1, 6, 5, 7).contiguous(memory_format=layout)
    with torch.autocast('cpu', torch.bfloat16):
        assert (
            filter_pixels(maps, torch.randn(count, 6), torch.zeros(count)).dtype is torch.bfloat16
        )


@pytest.mark.parametrize('layout', LAYOUTS)
def test_no_filters_leave_no_channels(layout):
    maps = torch.randn(1, 6, 5, 7).contiguous(memory_format=layout)

    assert filter_pixels(maps, torch.zeros(0, 6)).shape == (1, 0, 5, 7)


@pytest.mark.parametrize('count', [0, 1, 8, 9])
@pytest.mark.parametrize('layout', LAYOUTS)
def test_pixels_are_summed_with_weights(layout, count):
    torch.manual_seed(0)
    maps = torch.randn(2, 6, 5, 7).contiguous(memory_format=layout)
    weights = torch.rand(2, count, 5, 7)
    expected = torch.einsum('bqhw,bchw->bqc', weights, maps)

    torch.testing.assert_close(sum_pixels(weights, maps), expected)
    with as_if_ahead():
        torch.testing.assert_close(sum_pixels(weights, maps), expected)


def test_a_pointwise_convolution_is_one():
    conv, maps = nn.Conv2d(6, 4, 1), torch.randn(2, 6, 5, 7)

    torch.testing.assert_close(pointwise(conv, maps), conv(maps))


def test_maps_that_lie_as_wanted_are_convolved_without_a_copy(monkeypatch):
    convolved = []

    def watched(maps, *arguments):
        convolved.append(maps)
        return F.conv2d(maps, *arguments)

    monkeypatch.setattr(
        'seg.models.pixelwise.F', type('F', (), dict(conv2d=watched, linear=F.linear))
    )
    for layout in LAYOUTS:
        maps = torch.randn(2, 6, 5, 7).contiguous(memory_format=layout)
        filter_pixels(maps, torch.randn(4, 6))

        assert are_convolved_as_they_lie(maps) == (layout is torch.channels_last)
    assert [part.data_ptr() for part in convolved] == [maps.data_ptr()]
