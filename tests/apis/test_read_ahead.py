"""Items that a thread fetches: the same, in order, a bounded number ahead."""

import gc
import threading

import numpy as np
import pytest
import torch
from PIL import Image

from seg.apis.overlapped import fetched_ahead
from seg.apis.read_ahead import read_ahead
from seg.apis.video_sources import ArraySource, IteratorSource, open_video


def threads():
    return [thread for thread in threading.enumerate() if thread.name == 'read_ahead']


def has_ended():
    """Whether the threads end by themselves."""
    for thread in threads():
        thread.join(timeout=20)
    return not threads()


def test_items_come_in_order_and_a_few_ahead():
    fetched = []

    def source():
        for number in range(6):
            fetched.append((number, threading.current_thread().name))
            yield number

    for number in read_ahead(source(), count=2):
        assert len(fetched) <= number + 3, 'two wait while one is worked on'

    assert [number for number, _ in fetched] == list(range(6))
    assert {name for _, name in fetched} == {'read_ahead'}
    assert has_ended()


def test_an_error_comes_in_its_place():
    def source():
        yield 1
        yield 2
        raise ValueError('the third is broken')

    found = read_ahead(source())
    assert [next(found), next(found)] == [1, 2]
    with pytest.raises(ValueError, match='the third is broken'):
        next(found)
    assert has_ended()


def test_giving_up_closes_the_source_and_ends_the_thread():
    closed = []

    def source():
        try:
            yield from range(100)
        finally:
            closed.append(threading.current_thread().name)

    found = read_ahead(source())
    assert next(found) == 0
    assert threads()
    found.close()
    assert has_ended()
    assert closed == ['read_ahead']


def test_an_iteration_that_is_forgotten_blocks_nothing():
    """As the garbage collector finds it, in a circle with other things."""
    fetched = []
    circle = [read_ahead(fetched.append(number) or number for number in range(100))]
    circle.append(circle)
    assert next(circle[0]) == 0
    del circle
    gc.collect()
    assert has_ended()
    assert len(fetched) < 5


def test_nothing_and_iterators_without_a_close():
    assert list(read_ahead(iter(()))) == []
    assert list(read_ahead(iter([1, 2, 3]), count=9)) == [1, 2, 3]


def test_without_a_gpu_only_frames_of_files_are_fetched_early(tmp_path):
    for index in range(3):
        Image.fromarray(np.full((4, 6, 3), index, np.uint8)).save(tmp_path / f'{index}.png')
    folder = open_video(tmp_path)
    ahead = fetched_ahead(folder, folder.forwards(), torch.device('cpu'))
    assert [int(read.image[0, 0, 0]) for read in ahead] == [0, 1, 2]

    frames = np.zeros((2, 4, 6, 3), np.uint8)
    for source in (ArraySource(frames), IteratorSource(iter(frames))):
        reads = source.forwards()
        assert fetched_ahead(source, reads, torch.device('cpu')) is reads
