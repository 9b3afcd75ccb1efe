import pytest
import torch

from seg.datasets import ClipDataset, MixedDataset


class Named(ClipDataset):
    """A data set with some classes."""

    def __init__(self, classes):
        super().__init__('panoptic', [], {'classes': classes, 'num_things': 1})

    def __len__(self):
        return 2

    def load(self, index):
        return {'clip': torch.zeros(1, 3, 4, 4, dtype=torch.uint8)}


def test_classes_must_agree():
    with pytest.raises(ValueError, match=r"one classes in all sources, but 'b' differs from 'a'"):
        MixedDataset({'a': Named(('cat',)), 'b': Named(('dog',))})


@pytest.mark.parametrize(
    ('ratios', 'message'),
    [
        ({'a': 1, 'c': 2}, "unknown source 'c': expected one of a, b"),
        ({'a': 1}, 'expected a finite number above 0 for each'),
        ({'a': 1, 'b': -1}, 'expected a finite number above 0 for each'),
        ({'a': 1, 'b': float('nan')}, 'expected a finite number above 0 for each'),
        ({'a': 1, 'b': float('inf')}, 'expected a finite number above 0 for each'),
    ],
)
def test_ratios_must_fit(ratios, message):
    with pytest.raises(ValueError, match=message):
        MixedDataset({'a': Named(('cat',)), 'b': Named(('cat',))}, ratios)


def test_sources_must_be_clip_data_sets():
    with pytest.raises(TypeError, match=r"sources\['a'\]: expected a ClipDataset, got a list"):
        MixedDataset({'a': [1, 2]})


def test_no_sources_are_refused():
    with pytest.raises(ValueError, match='at least one data set'):
        MixedDataset({})
