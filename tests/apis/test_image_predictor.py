import numpy as np
import pytest

from seg.apis import ImagePredictor
from seg.testing.fake_segmentor import ALL_PROMPT_KINDS, FakeSegmentor
from seg.utils.checks import UserError

RESIZE = [dict(type='TestResize', scale=(64, 64), keep_ratio=True), dict(type='PackClip')]


def picture(height=40, width=60):
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def predictor():
    return ImagePredictor(FakeSegmentor(test_pipeline=RESIZE, prompt_kinds=ALL_PROMPT_KINDS))


def test_features_are_computed_once_per_image(predictor):
    predictor.set_image(picture())
    for x in (10, 20, 30):
        predictor.predict(points=[[[x, 20]]])
    assert predictor.model.num_encoded == 1


def test_results_have_the_size_of_the_image(predictor):
    predictor.set_image(picture())
    result = predictor.predict(points=[[[15, 30]], [[50, 10]]], object_ids=[3, 8])
    assert result.masks.shape == (2, 1, 40, 60)
    assert result.masks.dtype == bool
    assert result.masks[0, 0, 30, 15]
    assert not result.masks[1, 0, 30, 15]
    assert result.iou_scores.shape == (2, 1)
    assert result.low_res_logits.shape == (2, 1, 16, 16)  # canvas of 64 x 64, stride 4
    assert result.object_ids.tolist() == [3, 8]


def test_every_kind_reaches_the_model_in_its_place(predictor):
    predictor.set_image(picture())
    mask = np.zeros((40, 60), bool)
    mask[30:, 50:] = True
    nan = [float('nan')] * 4
    result = predictor.predict(
        boxes=[[6, 4, 30, 20], nan, nan], masks=[None, mask, None], texts=[None, None, 'left']
    )
    box, drawn, left = result.masks[:, 0]
    assert box[4:20, 6:30].all()
    assert box.sum() == 16 * 24
    assert (drawn == mask).mean() > 0.99
    assert left[:, :30].all()
    assert not left[:, 30:].any()


def test_clicks_correct_and_carry_the_last_answer(predictor):
    asked = []
    ask = predictor.model.predict_prompts

    def watch(features, samples, *, multimask_output):
        asked.append(samples[0].prompts.previous_logits)
        return ask(features, samples, multimask_output=multimask_output)

    predictor.model.predict_prompts = watch
    predictor.set_image(picture())
    first = predictor.predict(points=[[[15, 30]]])
    predictor.predict(
        points=[[[15, 30], [16, 30]]],
        point_labels=[[1, 0]],
        previous_logits=first.low_res_logits[:, 0],
    )
    assert asked[0] is None
    assert asked[1].shape == (1, 1, 16, 16)


def test_three_candidates_for_ambiguous_clicks(predictor):
    predictor.set_image(picture())
    result = predictor.predict(points=[[[15, 30]]], multimask_output=True)
    assert result.masks.shape == (1, 3, 40, 60)
    assert (np.diff(result.iou_scores[0]) < 0).all()


def test_logits_can_be_asked_for(predictor):
    predictor.set_image(picture())
    result = predictor.predict(boxes=[[0, 0, 30, 40]], return_logits=True)
    assert result.masks.dtype == np.float32
    assert ((result.masks[0, 0] > 0) == predictor.predict(boxes=[[0, 0, 30, 40]]).masks).all()


def test_poor_masks_come_back_empty():
    model = FakeSegmentor(test_pipeline=RESIZE)
    predictor = ImagePredictor(model, min_iou_score=0.6)
    predictor.set_image(picture())
    result = predictor.predict(points=[[[15, 30]], [[50, 10]]])
    assert result.masks.any(axis=(1, 2, 3)).tolist() == [True, False]


def test_images_of_a_batch_have_their_own_prompts(predictor):
    predictor.set_images([picture(), picture(50, 30), picture(20, 20)])
    results = predictor.predict_batch(
        [dict(points=[[[15, 30]]]), dict(boxes=np.zeros((0, 4))), dict(texts=['left', 'right'])]
    )
    assert predictor.model.num_encoded == 1
    assert [result.masks.shape for result in results] == [
        (1, 1, 40, 60),
        (0, 1, 50, 30),
        (2, 1, 20, 20),
    ]
    assert predictor.model.asked_rows == [[1, 2]]


def test_a_file_is_read(predictor, tmp_path):
    from PIL import Image

    Image.fromarray(picture()).save(tmp_path / 'a.png')
    predictor.set_image(str(tmp_path / 'a.png'))
    assert predictor.predict(points=[[[1, 1]]]).masks.shape == (1, 1, 40, 60)


def test_no_objects_give_no_masks(predictor):
    predictor.set_image(picture())
    result = predictor.predict(points=np.zeros((0, 1, 2)), multimask_output=True)
    assert result.masks.shape == (0, 3, 40, 60)
    assert result.low_res_logits.shape == (0, 3, 16, 16)


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({}, 'got none of them'),
        (dict(points=[[[99, 10]]]), 'inside the image of 60 x 40 pixels'),
        (dict(masks=np.ones((1, 30, 30), bool)), '60 x 40 pixels, got 30 x 30'),
        (dict(points=[[[1, 1]]], previous_logits=np.zeros((1, 9, 9))), r'\(1, 16, 16\)'),
        (dict(points=[[[1, 1]]], previous_logits=np.full((1, 16, 16), np.nan)), 'finite'),
        (dict(points=[[[1, 1]]], previous_logits=[[1, 2], [3]]), 'previous_logits: expected'),
        (dict(points=[[[1, 1]], [[2, 2]]], object_ids=[4, 4]), r'several rows for \[4\]'),
        (dict(texts=['']), 'blank text'),
    ],
)
def test_mistakes_are_named(predictor, arguments, message):
    predictor.set_image(picture())
    with pytest.raises(ValueError, match=message):
        predictor.predict(**arguments)


def test_an_image_comes_first(predictor):
    with pytest.raises(ValueError, match='set_image before predict'):
        predictor.predict(points=[[[1, 1]]])


def test_a_failed_image_is_not_mixed_up_with_the_one_before(predictor):
    predictor.set_image(picture())
    with pytest.raises(ValueError, match='uint8 RGB'):
        predictor.set_image(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match='set_image before predict'):
        predictor.predict(points=[[[1, 1]]])


def test_batches_name_the_image_with_the_mistake(predictor):
    predictor.set_images([picture(), picture()])
    with pytest.raises(ValueError, match=r'image 1: point \(99, 10\)'):
        predictor.predict_batch([dict(points=[[[1, 1]]]), dict(points=[[[99, 10]]])])
    with pytest.raises(UserError, match=r'image 1: prompts.points: expected finite'):
        predictor.predict_batch([dict(points=[[[1, 1]]]), dict(points=[[[1, float('nan')]]])])
    with pytest.raises(ValueError, match='each of 2 images, got 1'):
        predictor.predict_batch([dict(points=[[[1, 1]]])])
    with pytest.raises(ValueError, match='use predict_batch'):
        predictor.predict(points=[[[1, 1]]])
    with pytest.raises(ValueError, match='got point'):
        predictor.predict_batch([dict(point=[[[1, 1]]])] * 2)


def test_relative_boxes_are_shares_of_the_image(predictor):
    predictor.set_image(picture())
    nan = [float('nan')] * 4
    found = predictor.predict(relative_boxes=[[0.1, 0.1, 0.5, 0.5], [0, 0.25, 1, 1]])
    expected = predictor.predict(boxes=[[6, 4, 30, 20], [0, 10, 60, 40]])
    assert (found.masks == expected.masks).all()
    mixed = predictor.predict(points=[[[5, 5]], [[9, 9]]], relative_boxes=[[0, 0, 1, 1], nan])
    assert len(mixed.masks) == 2


@pytest.mark.parametrize(
    ('boxes', 'message'),
    [
        ([[0.1, 0.1, 1.5, 0.5]], r'expected shares of the image, in \[0, 1\], got'),
        ([[-0.1, 0.1, 0.5, 0.5]], r'expected shares of the image, in \[0, 1\], got'),
        ([[0.5, 0.1, 0.5, 0.5]], 'expected x1 < x2 and y1 < y2, got an empty box'),
        ([0.1, 0.1, 0.5, 0.5], r'expected shape \(N, 4\)'),
        ([['a', 0, 1, 1]], r'expected shape \(N, 4\)'),
        ([[0.1, float('nan'), 0.5, 0.5]], r'expected shares of the image, in \[0, 1\], got'),
    ],
)
def test_relative_boxes_that_cannot_be_are_named(predictor, boxes, message):
    predictor.set_image(picture())
    with pytest.raises(UserError, match=rf'relative_boxes: {message}'):
        predictor.predict(relative_boxes=boxes)


def test_boxes_come_in_one_kind(predictor):
    predictor.set_image(picture())
    with pytest.raises(UserError, match='expected no boxes beside them, got both'):
        predictor.predict(boxes=[[1, 2, 3, 4]], relative_boxes=[[0, 0, 1, 1]])
