"""The table where losses meet their weights."""

import pytest
import torch

from seg.models.routing import DEFAULT_TASK_LOSS_WEIGHTS, TaskLossTable
from seg.structures import Task

ONE = torch.tensor(1.0)


def test_raw_losses_are_multiplied_once_and_named_after_task_and_stage():
    table = TaskLossTable({'panoptic': dict(cls=2.0, mask=5.0)})
    weighted = table.apply(Task.PANOPTIC, {'cls': ONE, 'd0.mask': 3 * ONE})

    assert weighted == {'panoptic/loss_cls': 2.0, 'panoptic/d0.loss_mask': 15.0}


def test_a_weight_of_zero_means_not_computed():
    table = TaskLossTable({'panoptic': dict(cls=0.0, mask=1.0)})

    assert table.wanted(Task.PANOPTIC) == {'mask'}
    assert not table.trains('cls')
    assert table.trains('mask')


def test_task_without_a_row_is_named():
    with pytest.raises(ValueError, match="unknown task 'vos': expected one of panoptic"):
        TaskLossTable({'panoptic': dict(cls=1.0)}).wanted(Task.VOS)


@pytest.mark.parametrize(
    ('weights', 'message'),
    [
        ({'panoptic': dict(masc=1.0)}, "unknown loss 'masc'.*Did you mean 'mask'"),
        ({'panoptc': dict(mask=1.0)}, "unknown task 'panoptc'.*Did you mean 'panoptic'"),
        ({'panoptic': dict(mask=-1.0)}, 'weight >= 0, got -1'),
    ],
)
def test_mistakes_are_found_when_the_table_is_made(weights, message):
    with pytest.raises(ValueError, match=message):
        TaskLossTable(weights)


def test_default_weights_of_masks_are_the_published_ones():
    table = TaskLossTable(DEFAULT_TASK_LOSS_WEIGHTS)

    assert table.apply(Task.PANOPTIC, dict(cls=ONE, mask=ONE, dice=ONE)) == {
        'panoptic/loss_cls': 2.0,
        'panoptic/loss_mask': 5.0,
        'panoptic/loss_dice': 5.0,
    }
