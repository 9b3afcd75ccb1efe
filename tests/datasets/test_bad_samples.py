import multiprocessing
from unittest import mock

import pytest
import torch
from torch.utils.data import DataLoader

from seg.datasets import ClipDataset
from seg.utils.checks import UserError


class Holes(ClipDataset):
    """Ten samples, some of which are damaged."""

    def __init__(self, bad, error=UserError, **settings):
        super().__init__('panoptic', [], {}, **settings)
        self.bad, self.error = bad, error

    def __len__(self):
        return 10

    def load(self, index):
        if index in self.bad:
            raise self.error(f'sample {index} is broken')
        return {'value': torch.tensor(index)}


@pytest.mark.parametrize('error', [UserError, FileNotFoundError])
def test_a_damaged_sample_is_an_error_by_default(error):
    with pytest.raises(error, match='sample 3 is broken'):
        Holes({3}, error)[3]


def test_damaged_samples_are_replaced_by_the_next_one_and_counted_once():
    dataset = Holes({3, 4, 9}, max_bad_samples=3)
    with mock.patch('seg.datasets.bad_samples.print_log') as log:
        assert [int(dataset[i]['value']) for i in (2, 3, 3, 4, 9)] == [2, 5, 5, 5, 0]
    assert dataset[3]['sample_index'] == 5
    assert len(dataset.bad_samples) == 3
    assert [call.args[0] for call in log.call_args_list] == [
        f'damaged sample {count} of at most 3 is skipped: sample {sample} is broken'
        for count, sample in ((1, 3), (2, 4), (3, 9))
    ]


def test_more_than_the_limit_are_an_error():
    dataset = Holes({3, 4}, max_bad_samples=1)
    with pytest.raises(UserError, match='at most 1 damaged samples, got one more: sample 4'):
        dataset[3]


def test_other_errors_are_not_taken_for_damage():
    with pytest.raises(RuntimeError):
        Holes({3}, RuntimeError, max_bad_samples=5)[3]


def test_workers_share_the_count():
    dataset = Holes({1, 2, 5, 6}, max_bad_samples=4)
    context = multiprocessing.get_context('fork')
    loader = DataLoader(
        dataset,
        num_workers=2,
        multiprocessing_context=context,
        collate_fn=lambda samples: [int(s['value']) for s in samples],
    )
    assert [batch[0] for batch in loader] == [0, 3, 3, 3, 4, 7, 7, 7, 8, 9]
    assert len(dataset.bad_samples) == 4


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        ({'max_bad_samples': -1}, 'expected 0 or more, got -1'),
        ({'max_bad_samples': 2, 'test_mode': True}, 'expected 0 with test_mode, got 2'),
    ],
)
def test_limits_that_make_no_sense(settings, message):
    with pytest.raises(UserError, match=f'max_bad_samples: {message}'):
        Holes(set(), **settings)
