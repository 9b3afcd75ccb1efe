"""Which object each pixel belongs to."""

import pytest
import torch

from seg.models.heads.clip_following import IdMap


@pytest.mark.parametrize('chunks', [(6,), (1, 5), (4, 2), (1, 1, 1, 1, 1, 1)])
def test_the_surest_object_has_the_pixel(chunks):
    torch.manual_seed(0)
    logits, ids = torch.randn(6, 9, 11), torch.tensor([5, 3, 8, 1, 9, 2])
    logits[:, 0] = -1.0
    logits[:, 1] = 0.0
    logits[:, 2] = logits[:, 2].round()  # the first of equal ones has the pixel
    value, winner = logits.max(dim=0)
    expected = torch.where(value > 0, ids[winner], 0)
    drawn = IdMap((9, 11), logits.device)
    for some_ids, some in zip(ids.split(chunks), logits.split(chunks), strict=True):
        drawn.add(some_ids, some)

    assert drawn.ids.dtype is torch.int32
    assert drawn.ids.equal(expected.int())
    assert (drawn.ids[:2] == 0).all()
