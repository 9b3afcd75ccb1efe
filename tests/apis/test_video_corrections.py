"""What corrections start from, and which prompts a session takes."""

import numpy as np
import pytest
import torch
from mmengine.dataset import Compose

from seg.apis import VideoPredictor
from seg.datasets.transforms import PackClip, TestResize
from seg.models.prompts import ClickKeeper
from seg.structures import ClipSample, Prompts, Task
from seg.testing.tiny_rapsam import model_for_programs, tiny_video_cfg
from seg.utils.checks import UserError

HEIGHT, WIDTH = 48, 64
SPOKEN_OF = [[20, 20]]


def lively_model(scale=(64, 96), **head_settings):
    """A model whose parts that start at zero do something."""
    torch.manual_seed(0)
    model = model_for_programs(tiny_video_cfg(**head_settings), scale)
    for parameter in model.head.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.fixture(scope='module')
def predictor():
    return VideoPredictor(lively_model())


def frame(seed=0):
    return np.random.default_rng(seed).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def square(top, left, side=20):
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top : top + side, left : left + side] = True
    return mask


def test_a_mask_replaces_the_answer_that_clicks_corrected(predictor):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=SPOKEN_OF)
    session.step(frame())
    session.correct(1, points=[[50, 40]], point_labels=[0])
    assert session._last.question.rows[1].previous_logits is not None
    session.correct(1, mask=square(20, 30))

    assert session._last.question.rows[1].has_mask.all()
    assert session._last.question.rows[1].previous_logits is None


def test_a_click_on_an_object_without_an_answer_starts_anew(predictor):
    """As for an object that is new: there is nothing to correct."""
    dot = np.zeros((HEIGHT, WIDTH), bool)
    dot[20, 20] = True
    session = predictor.start(HEIGHT, WIDTH, task='vos')
    session.add_prompts(1, mask=dot)
    session.add_prompts(2, mask=square(20, 30))
    session.step(frame())
    second = session.step(frame(1))
    assert not second.visible[0], 'a dot is too small to be remembered'
    session.correct(1, points=SPOKEN_OF)

    assert session._last.question.rows[1].previous_logits is None
    session.correct(1, points=[[30, 30]])
    assert session._last.question.rows[1].previous_logits is not None, 'now there is one'


def test_clicks_do_not_make_masks_of_vos_overlap():
    predictor = VideoPredictor(lively_model(click_keeper=dict(type=ClickKeeper)))
    session = predictor.start(HEIGHT, WIDTH, task='vos')
    session.add_prompts(1, points=[[30, 20]])
    session.add_prompts(2, points=[[32, 21]])

    assert session.step(frame()).masks.sum(axis=0).max() <= 1


def test_a_row_that_says_nothing_is_refused_with_the_others(predictor):
    points = torch.tensor([[[20.0, 20.0]], [[30.0, 30.0]]])
    rows = Prompts.create(
        points=points, point_labels=torch.tensor([[1], [-1]]), object_ids=torch.tensor([1, 2])
    )
    session = predictor.start(HEIGHT, WIDTH)
    with pytest.raises(UserError, match='object 2: expected points, a box'):
        session.add_rows(rows)

    assert session.object_ids == []


def test_what_two_prompts_are_together_is_checked():
    model = lively_model()
    model.cfg.model = dict(head=dict(prompt_encoder=dict(prompt_kinds=('click',))))
    model.head.prompt_encoder.prompt_kinds = ('click',)
    predictor = VideoPredictor(model)
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=SPOKEN_OF)
    with pytest.raises(UserError, match='click'):
        session.add_prompts(1, points=[[30, 30]])

    assert session.step(frame()).object_ids.tolist() == [1]


def test_a_session_goes_on_with_its_own_sizes_alone(predictor, tmp_path):
    session = predictor.start(HEIGHT, WIDTH)
    session.add_prompts(1, points=SPOKEN_OF)
    session.step(frame())
    session.save(tmp_path / 'a.safetensors')
    other = VideoPredictor(predictor.model)
    other.pipeline = Compose([TestResize(scale=(2 * HEIGHT, 2 * WIDTH)), PackClip()])
    session = other.load(tmp_path / 'a.safetensors')
    with pytest.raises(UserError, match=r'expected features of .* cells .*, as remembered'):
        session.step(frame(1))


@pytest.mark.parametrize('rounds', [0, 1])
def test_clips_and_sessions_answer_several_clicks_alike(rounds):
    model = lively_model((HEIGHT, WIDTH), correction_rounds=rounds)
    predictor = VideoPredictor(model)
    session = predictor.start(HEIGHT, WIDTH)
    points, labels = [[50, 40], [20, 20]], [0, 1]
    session.add_prompts(1, points=points, point_labels=labels)
    pictures = [frame(), frame(1)]
    followed = [session.step(picture) for picture in pictures]

    sample = ClipSample(
        metainfo=dict(task=Task.INTERACTIVE_VIDEO, ori_shape=(HEIGHT, WIDTH), clip_id='a')
    )
    sample.prompts = Prompts.create(
        points=torch.tensor([points]).float(), point_labels=torch.tensor([labels])
    )
    clip = torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)
    with torch.no_grad():
        (found,) = model.test_step({'inputs': [clip], 'data_samples': [sample]})

    ids = np.stack([result.id_map for result in followed])
    assert np.array_equal(found.pred_tracks.id_maps.numpy(), ids)
    scores = np.stack([result.scores for result in followed], axis=1)
    np.testing.assert_allclose(found.pred_tracks.scores.numpy(), scores, rtol=1e-5)
