"""Several clicks at once are answered as one, and the others after it."""

from dataclasses import replace

import pytest
import torch

from seg.models.heads.clicks_in_turn import rows_in_turn, with_answers, with_first_points
from seg.registry import MODELS
from seg.structures import ClipSample, Prompts, Task
from seg.testing.tiny_rapsam import tiny_prompted_cfg

SIZE = (64, 96)


def prompts():
    return Prompts.create(
        points=torch.tensor([[[9.0, 9.0], [40.0, 20.0]], [[50.0, 30.0], [0.0, 0.0]]]),
        point_labels=torch.tensor([[0, 1], [1, -1]]),
    )


def test_rows_with_several_points_and_no_answer():
    given = prompts()
    assert rows_in_turn(given).tolist() == [True, False]
    answered = replace(given, previous_logits=torch.ones(2, 1, 4, 6))
    assert rows_in_turn(answered).tolist() == [False, False]
    answered.previous_logits[0] = 0
    assert rows_in_turn(answered).tolist() == [True, False]


def test_the_first_point_is_one_on_the_object():
    given = prompts()
    rows = torch.tensor([True, False])
    assert with_first_points(given, rows).point_labels.tolist() == [[-1, 1], [1, -1]]
    beside = replace(given, point_labels=torch.tensor([[0, 0], [1, -1]]))
    assert with_first_points(beside, rows).point_labels.tolist() == [[0, -1], [1, -1]]
    assert given.point_labels.tolist() == [[0, 1], [1, -1]], 'what was given stays'


def test_answers_go_to_their_rows():
    answers = torch.full((2, 1, 4, 6), 3.0)
    joined = with_answers(prompts(), torch.tensor([True, False]), answers)
    assert joined.previous_logits[0].eq(3).all()
    assert not joined.previous_logits[1].any(), 'zeros are no answer'


@pytest.mark.parametrize('rounds', [0, 1])
@torch.no_grad()
def test_clicks_at_once_equal_clicks_in_turn(rounds):
    torch.manual_seed(0)
    head = MODELS.build(tiny_prompted_cfg(correction_rounds=rounds)['head']).eval()
    for parameter in head.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    features, context = torch.randn(1, 1, 16, 16, 24), torch.randn(1, 1, 16, 4, 6)

    def answer(given):
        meta = dict(task=Task.INTERACTIVE_IMAGE, img_shape=SIZE, ori_shape=SIZE)
        sample = ClipSample(metainfo={**meta, 'batch_input_shape': SIZE})
        sample.prompts = given
        (found,) = head.predict_prompts(features, context, [sample])
        return found.pred_prompted.low_res_logits[:, 0]

    given = prompts()
    rows = torch.tensor([True, False])
    first = answer(with_first_points(given, rows))
    in_turn = answer(with_answers(given, rows, first))
    at_once = answer(given)
    assert torch.allclose(at_once, in_turn) is (rounds > 0)
    assert not torch.allclose(first[0], in_turn[0])
