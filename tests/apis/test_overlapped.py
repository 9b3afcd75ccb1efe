"""Copies that go on while frames are worked on."""

import numpy as np
import pytest
import torch

from seg.apis.overlapped import Upload, one_behind, to_device
from seg.utils.devices import HostCopy, as_if_ahead, runs_ahead

IMAGE = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
CPU = torch.device('cpu')


def begun(asked, error=None):
    try:
        for number in range(3):
            asked.append(number)
            yield number
        if error is not None:
            raise error
    finally:
        asked.append('closed')


def test_items_come_one_behind():
    asked = []
    found = one_behind(begun(asked))

    assert next(found) == 0
    assert asked == [0, 1]
    assert list(found) == [1, 2]
    assert list(one_behind(number for number in ())) == []


def test_an_error_comes_after_all_items():
    found = one_behind(begun([], ValueError('broken')))

    assert [next(found) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match='broken'):
        next(found)


def test_giving_up_closes_what_is_gone_through():
    asked = []
    items = begun(asked)
    found = one_behind(items)
    next(found)
    found.close()

    assert asked == [0, 1, 'closed']


def test_images_arrive():
    assert np.array_equal(to_device(IMAGE[:, ::-1], CPU).numpy(), IMAGE[:, ::-1])
    assert np.array_equal(Upload(IMAGE, CPU).pixels().numpy(), IMAGE)


def test_values_arrive_in_order():
    first, second = HostCopy(torch.tensor([1, 2]), torch.tensor([[True]])).wait()

    assert first.tolist() == [1, 2]
    assert second.tolist() == [[True]]


def test_a_cpu_runs_ahead_on_request_alone():
    assert not runs_ahead(CPU)
    assert runs_ahead(torch.device('cuda'))
    with as_if_ahead():
        assert runs_ahead(CPU)
    assert not runs_ahead(CPU)


@pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a GPU')
def test_copies_to_and_from_a_gpu():
    device = torch.device('cuda')
    images = [np.random.default_rng(i).integers(0, 256, (720, 1280, 3), np.uint8) for i in range(8)]
    uploads = [Upload(image, device) for image in images]
    copies = [HostCopy(255 - upload.pixels()) for upload in uploads]

    for image, copy in zip(images, copies, strict=True):
        assert np.array_equal(copy.wait()[0], 255 - image)
