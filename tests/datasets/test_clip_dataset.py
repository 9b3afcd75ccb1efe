import pytest
import torch

from seg.datasets import ClipDataset, SampleRef
from seg.structures import Task


class Noise(ClipDataset):
    """Samples that note the first number of their generator."""

    def __len__(self):
        return 3

    def load(self, index):
        return {'clip': torch.full((1, 3, 4, 4), index, dtype=torch.uint8)}


def draw(results):
    return {**results, 'number': results['rng'].random()}


def build(**settings):
    return Noise('panoptic', [draw], {'classes': ('a',), 'num_things': 1}, **settings)


def test_the_task_is_declared_and_parsed():
    assert build()[0]['task'] is Task.PANOPTIC
    with pytest.raises(ValueError, match="unknown task 'panopti'"):
        Noise('panopti', [], {})


def test_randomness_depends_on_the_reference_alone():
    dataset = build()
    refs = [SampleRef(0), SampleRef(1), SampleRef(0, draw=3), SampleRef(0, stream=1)]
    refs.append(SampleRef(0, seed=1))
    numbers = [dataset[ref]['number'] for ref in refs]
    assert len(set(numbers)) == 5
    assert numbers == [build(seed=5)[ref]['number'] for ref in refs]


def test_plain_indices_draw_from_the_data_sets_seed():
    assert build()[1]['number'] == build()[1]['number']
    assert build()[1]['number'] != build(seed=1)[1]['number']


@pytest.mark.parametrize('ref', [3, -1, SampleRef(7)])
def test_unknown_samples(ref):
    with pytest.raises(IndexError, match='expected an index below 3'):
        build()[ref]
