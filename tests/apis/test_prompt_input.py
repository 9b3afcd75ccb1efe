import numpy as np
import pytest
import torch

from seg.apis.prompt_checks import check_prompts
from seg.apis.prompt_input import make_prompts
from seg.utils.checks import UserError

NAN = float('nan')
MASK = np.eye(8, dtype=bool)


def test_nothing_gives_no_prompts():
    assert make_prompts() is None


def test_kinds_combine_row_by_row():
    prompts = make_prompts(
        points=[[[1, 2], [0, 0]], [[3, 4], [5, 6]], [[0, 0], [0, 0]]],
        point_labels=[[1, -1], [1, 0], [-1, -1]],
        boxes=[[NAN] * 4, [1, 1, 5, 5], [NAN] * 4],
        masks=[None, None, MASK],
        texts=['the red star', None, None],
        object_ids=[4, 5, 9],
    )
    assert prompts.object_ids.tolist() == [4, 5, 9]
    assert prompts.has_point.tolist() == [True, True, False]
    assert prompts.has_box.tolist() == [False, True, False]
    assert prompts.has_mask.tolist() == [False, False, True]
    assert prompts.texts == ('the red star', None, None)
    assert prompts.masks[2].bool().numpy().tolist() == MASK.tolist()


@pytest.mark.parametrize(
    'given',
    [
        dict(points=np.zeros((0, 1, 2))),
        dict(boxes=np.zeros((0, 4))),
        dict(boxes=[]),
        dict(masks=np.zeros((0, 8, 8), bool)),
        dict(texts=[]),
    ],
)
def test_no_objects_are_fine(given):
    assert len(make_prompts(**given)) == 0


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(point_labels=[[1]]), 'expected points with them'),
        (dict(point_labels=[[1]], boxes=[[1, 1, 5, 5]] * 3), 'expected points with them'),
        (dict(points=[[1, 2]]), r'one click is \[\[\[x, y\]\]\]'),
        (dict(points=[[[1, 2]], [[3, 4], [5, 6]]]), 'points of label -1'),
        (dict(points=[[['a', 'b']]]), 'points: expected'),
        (dict(points=[[[NAN, 2]]]), r'finite pixel coordinates, got \(nan, 2\) in row 0'),
        (dict(points=[[[1e300, 2]]]), r'finite pixel coordinates, got \(inf, 2\)'),
        (dict(points=[[[1, 2]]], point_labels=[[1, 0]]), 'expected one per point'),
        (dict(points=[[[1, 2]]], point_labels=[[2]]), r'got \[2\]'),
        (dict(points=[[[1, 2]]], point_labels=[[0.5]]), 'whole numbers'),
        (dict(points=[[[1, 2]]], boxes=[[1, 1, 5, 5]] * 3), 'points for 1, boxes for 3'),
        (dict(points=[[[1, 2]]], object_ids=[1, 2]), 'object_ids for 2'),
        (dict(points=[[[1, 2]]], object_ids=['a']), 'object_ids: expected whole numbers'),
        (dict(points=[[[1, 2]]], object_ids=[NAN]), 'object_ids: expected whole numbers'),
        (dict(points=[[[1, 2]]], object_ids=[float('inf')]), 'object_ids: expected whole numbers'),
        (dict(points=[[[1, 2]]], object_ids=[2**70]), 'object_ids: expected whole numbers'),
        (dict(points=[[[1, 2]]], object_ids=[2**60]), 'of at most 9007199254740992'),
        (dict(points=[[[1, 2]]], object_ids=[[1]]), r'one per object, shape \(N,\), got \(1, 1\)'),
        (dict(points=5), 'one row per object'),
        (dict(boxes=[1, 1, 5, 5]), 'one box is'),
        (dict(boxes=[[5, 5, 1, 1]]), r'\(5, 5, 1, 1\) in row 0; order the corners'),
        (dict(boxes=[[1, 1, NAN, 5]]), 'four NaN stands for no box'),
        (dict(boxes=[[1, 1, float('inf'), 5]]), 'finite'),
        (dict(boxes=[[NAN] * 4]), 'got nothing for row 0'),
        (dict(points=[[[1, 2]], [[0, 0]]], point_labels=[[1], [-1]]), 'nothing for row 1'),
        (dict(masks=MASK), r'one mask is masks\[None\]'),
        (
            dict(masks=[MASK, np.eye(9, dtype=bool)]),
            'got 8 x 8 and 9 x 9 pixels',
        ),
        (dict(masks=[MASK * 255]), 'mask > 127'),
        (dict(masks=[MASK * NAN]), 'probabilities'),
        (dict(masks=[np.zeros((8, 8))]), 'an empty one'),
        (dict(masks=[['a']]), 'bool or probabilities'),
        (dict(masks=[[[1, 0], [1]]]), 'masks: expected .* no such numbers'),
        (dict(texts='the red star'), r"write \['the red star'\]"),
        (dict(texts=b'star'), 'list of phrases'),
        (dict(texts={'a star', 'a disc'}), 'got a set, which has no rows'),
        (dict(texts={'a star': 1}), 'got a dict, which has no rows'),
        (dict(texts=[' ']), 'blank text'),
        (dict(texts=[b'star']), 'expected a string'),
        (dict(texts=['caf\udce9']), 'valid Unicode'),
    ],
)
def test_mistakes_are_named(given, message):
    with pytest.raises(UserError, match=message):
        make_prompts(**given)


@pytest.mark.parametrize('largest', [2**24 + 1, 2**53])
def test_object_ids_are_exact(largest):
    assert make_prompts(points=[[[1, 2]]], object_ids=[largest]).object_ids.tolist() == [largest]


@pytest.mark.parametrize('dtype', [torch.float64, torch.bfloat16])
def test_tensors_of_any_kind_are_read(dtype):
    prompts = make_prompts(
        points=torch.tensor([[[1.0, 2.0]]], dtype=dtype, requires_grad=True),
        point_labels=torch.tensor([[1]]),
        boxes=torch.tensor([[0, 0, 4, 4]], dtype=dtype),
        masks=torch.ones(1, 8, 8, dtype=dtype, requires_grad=True),
    )
    assert prompts.point_coords.tolist() == [[[1.0, 2.0]]]
    assert not prompts.point_coords.requires_grad
    assert prompts.masks.sum() == 64


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (dict(boxes=[[30, 1, 40, 5]]), r'box \(30, 1, 40, 5\).*20 x 10 pixels'),
        (dict(masks=[MASK]), '20 x 10 pixels, got 8 x 8'),
        (dict(points=[[[25, 5]]]), 'inside the image'),
        (dict(texts=['a star']), 'got texts'),
    ],
)
def test_prompts_that_do_not_fit_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        check_prompts(make_prompts(**given), (10, 20), {'click', 'box', 'mask'})


def test_boxes_may_stick_out():
    check_prompts(make_prompts(boxes=[[-5, -5, 40, 40]]), (10, 20), {'box'})
