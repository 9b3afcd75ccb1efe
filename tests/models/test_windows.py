"""The largest values around cells."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.windows import largest_in_windows


@pytest.mark.parametrize('num_maps', [0, 1, 3])
@pytest.mark.parametrize(('side', 'margin'), [(1, 0), (5, 2), (7, 3), (12, 4), (16, 4), (2, 0)])
def test_windows_are_those_of_max_pooling(num_maps, side, margin):
    maps = torch.rand(num_maps, 17, 23, generator=torch.Generator().manual_seed(side))
    expected = F.max_pool2d(maps[:, None], side, stride=1, padding=margin)[:, 0]

    assert largest_in_windows(maps, side, margin).equal(expected)
