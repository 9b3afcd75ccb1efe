"""Evaluation batches of a mixture."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.dataset import DefaultSampler

from seg.datasets import ClipDataset, MixedDataset
from seg.datasets.samplers import OrderedTaskBatchSampler


class Blank(ClipDataset):
    """A number of samples."""

    def __init__(self, size, task='panoptic'):
        super().__init__(task, [], {'classes': ('a',), 'num_things': 1})
        self.size = size

    def __len__(self):
        return self.size

    def load(self, index):
        return {'clip': torch.zeros(1, 3, 4, 4, dtype=torch.uint8)}


def batches_of(dataset, batch_size, world_size=1):
    ranked = [
        SimpleNamespace(dataset=dataset, seed=0, rank=rank, world_size=world_size)
        for rank in range(world_size)
    ]
    return [list(OrderedTaskBatchSampler(sampler, batch_size)) for sampler in ranked]


def mixture(*sizes):
    return MixedDataset({str(i): Blank(size) for i, size in enumerate(sizes)})


def test_a_batch_ends_where_the_next_source_begins():
    assert batches_of(mixture(5, 3), 2) == [[[0, 1], [2, 3], [4], [5, 6], [7]]]


def test_one_data_set_is_cut_evenly():
    assert batches_of(Blank(5), 2) == [[[0, 1], [2, 3], [4]]]


@pytest.mark.parametrize('sizes', [(2, 2), (5, 4), (1, 7), (3, 3, 2), (9, 1)])
@pytest.mark.parametrize('world_size', [1, 2, 3, 4])
def test_ranks_take_turns_with_equally_many_batches_of_one_source(sizes, world_size):
    dataset = mixture(*sizes)
    ranks = batches_of(dataset, 2, world_size)

    assert len({len(batches) for batches in ranks}) == 1
    for rank, batches in enumerate(ranks):
        host = DefaultSampler(dataset, shuffle=False)
        host.rank, host.world_size = rank, world_size
        host.num_samples = -(-len(dataset) // world_size)
        host.total_size = host.num_samples * world_size
        assert [index for batch in batches for index in batch] == list(host)
        sources = [{dataset.locate(index).source for index in batch} for batch in batches]
        assert all(len(found) == 1 for found in sources)
        assert all(1 <= len(batch) <= 2 for batch in batches)


def test_an_empty_batch_size_is_refused():
    with pytest.raises(ValueError, match='batch_size: expected at least 1, got 0'):
        batches_of(Blank(3), 0)
