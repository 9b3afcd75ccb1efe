"""Prompts of every kind on the real network with random weights: everything fits together."""

import numpy as np
import pytest
import torch
from mmengine.config import Config

from seg.apis import ImagePredictor, Inferencer
from seg.apis.report import REPORT_TASKS
from seg.apis.shapes_samples import ShapesSamples
from seg.registry import MODELS
from seg.structures import Task
from seg.testing.tiny_rapsam import tiny_prompted_cfg
from seg.utils.checks import UserError


@pytest.fixture(scope='module')
def model():
    torch.manual_seed(0)
    model = MODELS.build(tiny_prompted_cfg()).eval()
    pipeline = [dict(type='TestResize', scale=(64, 80)), dict(type='PackClip')]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model.entry = None
    model.dataset_meta = dict(classes=tuple('abcde'), num_things=3)
    return model


@pytest.fixture
def predictor(model):
    predictor = ImagePredictor(model)
    predictor.set_image(np.random.default_rng(0).integers(0, 256, (97, 61, 3), dtype=np.uint8))
    return predictor


def prompts_of_all_kinds():
    nan = [float('nan')] * 4
    mask = np.zeros((97, 61), bool)
    mask[40:80, 10:40] = True
    return dict(
        points=[[[10, 20], [30, 40]]] + [[[0, 0], [0, 0]]] * 3,
        point_labels=[[1, 0]] + [[-1, -1]] * 3,
        boxes=[nan, [5, 5, 40, 60], nan, nan],
        masks=[None, None, mask, None],
        texts=[None, None, None, 'the left bar'],
    )


def test_every_kind_gets_an_answer(predictor):
    result = predictor.predict(**prompts_of_all_kinds())
    assert result.masks.shape == (4, 1, 97, 61)
    assert np.isfinite(result.low_res_logits).all()


def test_another_object_leaves_the_first_one_alone(predictor):
    alone = predictor.predict(points=[[[10, 20]]])
    both = predictor.predict(points=[[[10, 20]], [[40, 70]]])
    assert both.low_res_logits[0] == pytest.approx(alone.low_res_logits[0], abs=1e-3)


def test_points_that_do_not_exist_may_be_nan(predictor):
    nan = float('nan')
    labels = [[1, -1]]
    tidy = predictor.predict(points=[[[10, 20], [0, 0]]], point_labels=labels)
    stray = predictor.predict(points=[[[10, 20], [nan, nan]]], point_labels=labels)
    assert (stray.low_res_logits == tidy.low_res_logits).all()


def test_logits_agree_with_masks(predictor):
    prompts = prompts_of_all_kinds()
    logits = predictor.predict(**prompts, return_logits=True).masks
    assert ((logits > 0) == predictor.predict(**prompts).masks).all()


def test_logits_of_refused_masks_are_empty_too(model, predictor):
    prompts = prompts_of_all_kinds()
    scores = predictor.predict(**prompts).iou_scores[:, 0]
    strict = ImagePredictor(model, min_iou_score=float(np.median(scores)))
    strict.set_image(np.random.default_rng(0).integers(0, 256, (97, 61, 3), dtype=np.uint8))
    masks = strict.predict(**prompts).masks
    logits = strict.predict(**prompts, return_logits=True).masks

    assert ((logits > 0) == masks).all()
    assert not (logits[scores < np.median(scores)] > 0).any()


def test_sets_that_are_none_and_masks_that_are_lists(predictor):
    with pytest.raises(UserError, match=r'expected a set such as dict\(points'):
        predictor.predict_batch([None])
    mask = np.zeros((97, 61), bool)
    mask[40:80, 10:40] = True
    assert (predictor.logits_of_mask(mask.tolist()) == predictor.logits_of_mask(mask)).all()
    with pytest.raises(UserError, match='expected the size of the image'):
        predictor.logits_of_mask([[True]])


@pytest.mark.parametrize('kind', ['points', 'boxes', 'masks', 'texts'])
def test_no_objects_get_no_masks(predictor, kind):
    assert predictor.predict(**{kind: []}).masks.shape == (0, 1, 97, 61)


def test_the_last_answer_and_candidates_are_taken(predictor):
    first = predictor.predict(points=[[[10, 20]]], multimask_output=True)
    assert first.masks.shape == (1, 3, 97, 61)
    second = predictor.predict(
        points=[[[10, 20], [40, 70]]],
        point_labels=[[1, 0]],
        previous_logits=first.low_res_logits[:, 1],
    )
    assert second.masks.shape == (1, 1, 97, 61)


def test_predictor_and_inferencer_agree(model, predictor):
    image = np.random.default_rng(0).integers(0, 256, (97, 61, 3), dtype=np.uint8)
    prompts = prompts_of_all_kinds()
    (result,) = Inferencer(model)(image, 'interactive_image', **prompts)
    assert (result.masks == predictor.predict(**prompts).masks[:, 0]).mean() > 0.999


def test_images_of_a_batch_agree_with_single_ones(model, predictor):
    rng = np.random.default_rng(1)
    images = [rng.integers(0, 256, (*size, 3), dtype=np.uint8) for size in ((80, 100), (64, 80))]
    prompts = [dict(points=[[[20, 30]], [[50, 40]]]), dict(texts=['the right bar'])]
    predictor.set_images(images)
    together = predictor.predict_batch(prompts)
    for image, given, result in zip(images, prompts, together, strict=True):
        predictor.set_image(image)
        alone = predictor.predict(**given)
        assert result.low_res_logits == pytest.approx(alone.low_res_logits, abs=2e-3)


def test_the_report_card_examines_it(model):
    report = REPORT_TASKS[Task.INTERACTIVE_IMAGE]
    (packed,) = ShapesSamples(report.task, model.cfg, 1, prompt_features=model.prompt_kinds)
    sample = report.predict(model, packed)
    assert set(sample.pred_prompted.prompt_kind) == {'click', 'box', 'mask', 'text'}
    assert sample.pred_prompted.click_ious.shape[1] == 20
