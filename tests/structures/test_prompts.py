"""Prompts: what may be said, and what is refused by name."""

from dataclasses import replace

import pytest
import torch

from seg.structures import PointLabel, Prompts
from seg.utils.checks import UserError


def test_points_alone_are_foreground_clicks_of_one_object_each() -> None:
    prompts = Prompts.create(points=torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]))

    assert len(prompts) == 2
    assert prompts.object_ids.tolist() == [1, 2]
    assert prompts.frame_index.tolist() == [0, 0]
    assert (prompts.point_labels == PointLabel.FOREGROUND).all()
    assert prompts.has_point.all()
    assert not prompts.has_box.any()
    assert not prompts.has_mask.any()
    assert prompts.texts == (None, None)


def test_kinds_mix_per_object() -> None:
    nan = float('nan')
    prompts = Prompts.create(
        points=torch.zeros(2, 1, 2),
        point_labels=torch.tensor([[1], [-1]]),
        boxes=torch.tensor([[nan] * 4, [0.0, 0.0, 5.0, 6.0]]),
        texts=('the red star', None),
    )

    assert prompts.has_point.tolist() == [True, False]
    assert prompts.has_box.tolist() == [False, True]


def test_an_object_may_have_rows_on_several_frames() -> None:
    prompts = Prompts.create(
        points=torch.zeros(2, 1, 2), object_ids=[7, 7], frame_index=torch.tensor([0, 5])
    )

    assert prompts.object_ids.tolist() == [7, 7]
    assert prompts.frame_index.tolist() == [0, 5]


def test_zero_objects_are_prompts_too() -> None:
    assert len(Prompts.create(points=torch.zeros(0, 1, 2))) == 0


@pytest.mark.parametrize(
    'rows', [torch.tensor([False, True]), torch.tensor([1]), [1], slice(1, None)]
)
def test_rows_are_picked_with_everything_they_hold(rows) -> None:
    prompts = Prompts.create(
        points=torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]),
        masks=torch.stack([torch.zeros(4, 5), torch.ones(4, 5)]),
        texts=('a', 'b'),
    )[rows]

    assert prompts.point_coords.tolist() == [[[3.0, 4.0]]]
    assert prompts.masks.sum() == 20
    assert prompts.texts == ('b',)
    assert prompts.object_ids.tolist() == [2]


def test_moving_keeps_values() -> None:
    prompts = Prompts.create(points=torch.ones(1, 1, 2), texts=('a',)).to('cpu')

    assert prompts.point_coords.sum() == 2
    assert prompts.texts == ('a',)


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        ({}, 'give at least one prompt'),
        ({'points': torch.zeros(2, 2)}, r'expected shape \(N, P, 2\), got \(2, 2\)'),
        (
            {'points': torch.zeros(2, 1, 2), 'boxes': torch.zeros(1, 4)},
            r'prompts.boxes: expected shape \(2, 4\) for 2 objects, got \(1, 4\)',
        ),
        (
            {'points': torch.zeros(1, 1, 2), 'point_labels': torch.ones(1, 2)},
            r'prompts.point_labels: expected shape \(1, 1\)',
        ),
        ({'points': torch.zeros(1, 1, 2), 'texts': ('a', 'b')}, 'prompts.texts'),
        (
            {'points': torch.tensor([[[1.0, 2.0]], [[3.0, torch.nan]]])},
            r'finite pixel coordinates, got \(3, nan\) in row 1; write label -1',
        ),
        (
            {'points': torch.zeros(1, 1, 2), 'point_labels': torch.tensor([[2]])},
            r'expected 1 \(foreground\), 0 \(background\) or -1 \(padding\), got \[2\]',
        ),
        (
            {'boxes': torch.tensor([[5.0, 5.0, 5.0, 9.0]])},
            r'got an empty box, \(5, 5, 5, 9\) in row 0',
        ),
        ({'boxes': torch.tensor([[0.0, 0.0, torch.inf, 9.0]])}, r'got \(0, 0, inf, 9\) in row 0'),
        (
            {'boxes': torch.tensor([[torch.nan] * 4, [0.0, torch.nan, 4.0, 9.0]])},
            r'got \(0, nan, 4, 9\) in row 1; a row of four NaN stands for no box',
        ),
        ({'masks': torch.zeros(4, 5)}, r'prompts.masks: expected shape \(N, H, W\)'),
    ],
)
def test_nonsense_is_named(given, message) -> None:
    with pytest.raises(UserError, match=message):
        Prompts.create(**given)


def test_further_points_join_the_rows() -> None:
    prompts = Prompts.create(boxes=torch.tensor([[0.0, 0.0, 5.0, 6.0], [1.0, 1.0, 2.0, 2.0]]))
    more = prompts.with_points(torch.ones(2, 1, 2), torch.tensor([[0], [-1]]))

    assert more.point_labels.tolist() == [[0], [-1]]
    assert more.has_point.tolist() == [True, False]
    assert prompts.point_coords.shape == (2, 0, 2)


@pytest.mark.parametrize('value', [torch.nan, torch.inf, -3e38])
def test_points_that_do_not_exist_may_be_anywhere(value) -> None:
    points, labels = torch.tensor([[[1.0, 2.0], [value, value]]]), torch.tensor([[1, -1]])
    prompts = Prompts.create(points=points, point_labels=labels)
    more = prompts.with_points(points[:, 1:], labels[:, 1:])

    assert prompts.point_coords.tolist() == [[[1.0, 2.0], [0.0, 0.0]]]
    assert more.point_coords.tolist() == [[[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]]


def test_concatenation_pads_what_parts_lack() -> None:
    clicks = Prompts.create(points=torch.ones(1, 2, 2))
    masked = Prompts.create(masks=torch.ones(2, 4, 5), texts=('a', None), object_ids=[8, 9])

    both = Prompts.concatenate([clicks, masked])

    assert both.object_ids.tolist() == [1, 8, 9]
    assert both.point_labels.tolist() == [[1, 1], [-1, -1], [-1, -1]]
    assert both.has_mask.tolist() == [False, True, True]
    assert both.masks.sum(dim=(1, 2)).tolist() == [0, 20, 20]
    assert both.texts == (None, 'a', None)
    both.validate()


def test_rows_that_say_nothing_are_not_valid() -> None:
    prompts = Prompts.create(
        points=torch.zeros(2, 1, 2), point_labels=torch.tensor([[1], [-1]]), texts=[None, None]
    )

    assert prompts.is_valid.tolist() == [True, False]


def test_previous_logits_need_one_row_per_object() -> None:
    prompts = replace(
        Prompts.create(points=torch.zeros(2, 1, 2)), previous_logits=torch.zeros(3, 1, 4, 5)
    )

    with pytest.raises(ValueError, match='previous_logits'):
        prompts.validate()


def test_more_is_said_about_the_same_objects() -> None:
    first = Prompts.create(
        points=torch.tensor([[[1.0, 2.0]], [[3.0, 4.0]]]),
        boxes=torch.tensor([[0.0, 0, 9, 9], [torch.nan] * 4]),
        texts=['the dog', None],
    )
    more = Prompts.create(
        boxes=torch.tensor([[torch.nan] * 4, [1.0, 1, 5, 5]]),
        masks=torch.ones(2, 4, 6),
        texts=[None, 'the cat'],
    )
    more.has_mask[0] = False
    joined = first.with_more(more)
    assert joined.point_coords.tolist() == [[[1, 2]], [[3, 4]]]
    assert joined.boxes.tolist() == [[0, 0, 9, 9], [1, 1, 5, 5]]
    assert joined.texts == ('the dog', 'the cat')
    assert joined.has_mask.tolist() == [False, True]
    assert [mask.any().item() for mask in joined.masks] == [False, True]
    assert joined.with_more(first).masks is joined.masks
    assert first.masks is None, 'what was said stays'
    with pytest.raises(UserError, match=r'masks of \(2, 4, 6\) as before, got \(2, 8, 6\)'):
        joined.with_more(Prompts.create(masks=torch.ones(2, 8, 6)))
