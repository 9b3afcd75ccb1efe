import pytest
import torch

from seg.evaluation.metrics import PromptSegMetric
from seg.utils.checks import UserError


def mask(columns, size=(10, 20)):
    result = torch.zeros(1, *size, dtype=torch.bool)
    result[..., :columns] = True
    return result


def sample(predicted, truth, *, crowd=None, targets=None, losses=None):
    prediction = dict(masks=torch.stack(predicted)[:, None])
    if losses is not None:
        prediction['loss_seg'] = torch.tensor(losses)
    return dict(
        img_id=7,
        gt_segments=dict(
            masks=torch.stack(truth),
            is_crowd=torch.tensor(crowd or [False] * len(truth)),
        ),
        prompt_targets=torch.tensor(targets or list(range(len(predicted)))),
        pred_prompted=prediction,
    )


def score(*samples, **settings):
    metric = PromptSegMetric(**settings)
    for item in samples:
        metric.process(None, [item])
    return metric.evaluate(len(samples))


def test_values_by_hand():
    found = score(sample([mask(4), mask(10)], [mask(8), mask(10)]))

    assert found['prompt/IoU'] == pytest.approx(100 * (0.5 + 1) / 2)
    assert found['prompt/Dice'] == pytest.approx(100 * (2 / 3 + 1) / 2)
    assert found['prompt/IoU_data'] == pytest.approx(100 * 140 / 180)
    assert found['prompt/Dice_data'] == pytest.approx(100 * 280 / 320)
    assert found['prompt/PixelAcc'] == pytest.approx(100 * 360 / 400)
    assert found['prompt/PixelAcc_data'] == pytest.approx(100 * 360 / 400)
    assert 50 < found['prompt/BIoU'] < 100


def test_means_are_over_prompts_not_over_images():
    found = score(sample([mask(8)], [mask(8)]), sample([mask(4), mask(2)], [mask(8), mask(8)]))
    assert found['prompt/IoU'] == pytest.approx(100 * (1 + 0.5 + 0.25) / 3)


def test_pixels_of_small_images_count_less_over_the_data_set():
    small = (10, 10)
    wrong = sample([mask(0, small)], [mask(10, small)])
    found = score(wrong, sample([mask(20, (10, 40))], [mask(20, (10, 40))]))
    assert found['prompt/PixelAcc'] == 50
    assert found['prompt/PixelAcc_data'] == 80


def test_crowds_are_left_out():
    found = score(sample([mask(8)], [mask(4), mask(8)], crowd=[False, True]))
    assert found['prompt/IoU'] == 100


def test_pixels_of_no_segment_are_left_out_where_told():
    item = sample([mask(8)], [mask(4)])
    assert score(item)['prompt/IoU'] == 50
    assert score(item, ignore_uncovered=True)['prompt/IoU'] == 100


def test_several_prompts_may_name_one_segment():
    found = score(sample([mask(8), mask(4)], [mask(2), mask(8)], targets=[1, 1]))
    assert found['prompt/IoU'] == 75


def test_losses_of_validation_are_averaged():
    found = score(sample([mask(8), mask(4)], [mask(8), mask(8)], losses=[1.0, 3.0]))
    assert found['prompt/loss_seg'] == 2
    assert 'prompt/loss_iou' not in found


def test_no_prompts_and_wrong_shapes_are_named():
    empty = sample([mask(1)], [mask(1)])
    empty['pred_prompted']['masks'] = empty['pred_prompted']['masks'][:0]
    empty['prompt_targets'] = empty['prompt_targets'][:0]
    with pytest.raises(UserError, match='expected prompts, got none in 1 images'):
        score(empty)
    small = sample([mask(1)], [mask(1)])
    small['pred_prompted']['masks'] = small['pred_prompted']['masks'][..., :5]
    with pytest.raises(UserError, match='resize predictions to ori_shape'):
        score(small)
    with pytest.raises(UserError, match='boundary_share'):
        PromptSegMetric(boundary_share=0)
