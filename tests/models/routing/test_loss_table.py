"""The table where losses meet their weights."""

import pytest
import torch

from seg.models.routing import (
    DEFAULT_TASK_LOSS_WEIGHTS,
    LOSS_NAMES,
    SEED_TASK_LOSS_WEIGHTS,
    TaskLossTable,
)
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
        ({'panoptic': dict(mask='five')}, "weight >= 0, got 'five'"),
        ({'panoptic': dict(mask=float('nan'))}, 'weight >= 0, got nan'),
        ({'panoptic': dict(mask=float('inf'))}, 'finite weight >= 0, got inf'),
        ({'panoptic': 5.0}, 'expected a dict of loss names and weights, got 5.0'),
        ({'vos': dict(panoptic=1.0)}, "'panoptic'.*expected 0, since prompted objects"),
    ],
)
def test_mistakes_are_found_when_the_table_is_made(weights, message):
    with pytest.raises(ValueError, match=message):
        TaskLossTable(weights)


@pytest.mark.parametrize(
    ('task', 'expected'),
    [
        (
            'interactive_image',
            dict(cls=1, mask=5, dice=5, iou=10, prompt_align=0.5, text_visual=0.3),
        ),
        (
            'interactive_video',
            dict(cls=1, mask=5, dice=5, iou=10, prompt_align=0.5, text_visual=0.3, temporal=1),
        ),
        ('vos', dict(cls=1, mask=5, dice=5, dpsr=2, temporal=1.5, memory_align=1)),
        ('panoptic', dict(cls=2, mask=5, dice=5, panoptic=1)),
    ],
)
def test_seed_rows(task, expected):
    assert SEED_TASK_LOSS_WEIGHTS[task] == expected


def test_default_rows_name_every_loss_and_keep_the_seeds():
    for task, row in DEFAULT_TASK_LOSS_WEIGHTS.items():
        assert set(row) == set(LOSS_NAMES)
        assert row.items() >= SEED_TASK_LOSS_WEIGHTS[task].items()
    added = {
        task: {k: v for k, v in row.items() if v and k not in SEED_TASK_LOSS_WEIGHTS[task]}
        for task, row in DEFAULT_TASK_LOSS_WEIGHTS.items()
    }
    assert added == {
        'interactive_image': {},
        'interactive_video': dict(memory_align=1, object_score=1),
        'vos': dict(iou=10, object_score=1),
        'panoptic': {},
    }


def test_the_default_table_asks_for_what_the_model_computes():
    table = TaskLossTable.default({'mask', 'iou', 'dpsr'})

    assert table.wanted(Task.VOS) == {'mask', 'iou', 'dpsr'}
    assert table.wanted(Task.PANOPTIC) == {'mask'}


def test_a_weight_for_what_the_model_does_not_compute_is_refused():
    with pytest.raises(ValueError, match=r"\['vos'\]\['dpsr'\]: expected 0 .* got 2"):
        TaskLossTable({'vos': dict(dpsr=2.0)}, computed={'mask'})
    TaskLossTable({'vos': dict(dpsr=0.0)}, computed={'mask'})
