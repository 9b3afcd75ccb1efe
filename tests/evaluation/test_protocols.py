import pytest
import torch
from mmengine.structures import InstanceData

from seg.evaluation.metrics import InteractiveMetric
from seg.evaluation.protocols import ClickProtocol
from seg.registry import TASK_UTILS
from seg.structures import ClipSample, PointLabel, Prompts
from seg.testing.fake_segmentor import ALL_PROMPT_KINDS, FakeSegmentor

SIZE = (100, 100)
# The fake paints squares of 21 x 21 pixels around clicks: three of them make this object.
WIDE = (19, 40, 82, 61)
CENTRE = [[[50.5, 50.5]]]
SQUARE = (40, 40, 61, 61)


def picture(*boxes, input_size=SIZE, kinds=None, **prompts):
    """A batch of one image with rectangles (x1, y1, x2, y2) as objects."""
    masks = torch.zeros(len(boxes), 1, *SIZE, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[0, y1:y2, x1:x2] = True
    meta = dict(task='interactive_image', img_shape=input_size, ori_shape=SIZE, img_id=1)
    if kinds is not None:
        meta['prompt_kinds'] = kinds
    sample = ClipSample(metainfo=meta)
    sample.gt_segments = InstanceData(
        masks=masks,
        labels=torch.zeros(len(boxes), dtype=torch.long),
        object_ids=torch.arange(1, len(boxes) + 1),
        is_crowd=torch.zeros(len(boxes), dtype=torch.bool),
    )
    sample.prompts = Prompts.create(**{k: torch.tensor(v) for k, v in prompts.items()})
    sample.prompt_targets = sample.prompts.object_ids - 1
    clip = torch.zeros(1, 3, *input_size, dtype=torch.uint8)
    return {'inputs': [clip], 'data_samples': [sample]}


def join(*batches):
    return {key: [x for batch in batches for x in batch[key]] for key in batches[0]}


def run(batch, kinds=ALL_PROMPT_KINDS, **settings):
    model = FakeSegmentor(prompt_kinds=kinds)
    return model, ClickProtocol(**settings).run(model, batch)


def score(samples):
    metric = InteractiveMetric()
    metric.process(None, [sample.to_dict() for sample in samples])
    return metric.evaluate(len(samples))


def test_clicks_follow_the_largest_error_until_the_mask_is_right():
    batch = picture(WIDE, points=CENTRE)
    model, (sample,) = run(batch)
    assert sample.pred_prompted.click_ious[0, :3].tolist() == pytest.approx([1 / 3, 2 / 3, 1])
    assert sample.pred_prompted.click_ious[0, 3:].isnan().all()
    assert sorted(x for x, _ in sample.prompts.point_coords[0].tolist()) == pytest.approx(
        [29.5, 50.5, 71.5]
    )
    assert sample.pred_prompted.masks.shape == (1, 1, 1, *SIZE)
    assert torch.equal(sample.pred_prompted.masks[:, 0], sample.gt_segments.masks)
    assert model.num_encoded == 1


def test_clicks_land_in_pixels_of_the_network_input():
    batch = picture(WIDE, input_size=(50, 200), points=[[[101.0, 25.25]]])
    _, (sample,) = run(batch)
    assert sample.pred_prompted.click_ious[0, 2] == pytest.approx(1)
    assert sorted(x for x, _ in sample.prompts.point_coords[0].tolist()) == pytest.approx(
        [59, 101, 143]
    )


def test_negative_clicks_are_made_and_counted():
    batch = picture((40, 40, 61, 55), points=CENTRE)  # the strip below is wrong
    _, (sample,) = run(batch, max_clicks=2)
    assert sample.prompts.point_labels[0].tolist() == [1, 0]
    assert sample.pred_prompted.num_negative.tolist() == [1]
    assert sample.pred_prompted.num_removed.tolist() == [1]
    assert score([sample])['interactive/neg_removed'] == 100


def test_a_negative_click_has_to_remove_half_of_what_it_hits():
    batch = picture((45, 45, 55, 55), points=CENTRE)  # a ring around it is wrong
    _, (sample,) = run(batch, max_clicks=2)
    assert sample.pred_prompted.num_negative.tolist() == [1]
    assert sample.pred_prompted.num_removed.tolist() == [0]


def test_a_model_that_ignores_negative_clicks_is_found_out():
    class Stubborn(FakeSegmentor):
        def predict_prompts(self, features, samples):
            for sample in samples:
                labels = sample.prompts.point_labels
                labels[labels == PointLabel.BACKGROUND] = PointLabel.PADDING
            return super().predict_prompts(features, samples)

    batch = picture((45, 45, 55, 55), points=CENTRE)
    (sample,) = ClickProtocol(max_clicks=4).run(Stubborn(prompt_kinds=ALL_PROMPT_KINDS), batch)
    assert sample.pred_prompted.num_negative.tolist() == [3]
    assert score([sample])['interactive/neg_removed'] == 0


def test_the_last_answer_is_part_of_the_next_question():
    seen = []

    class Watching(FakeSegmentor):
        def predict_prompts(self, features, samples):
            seen.append(samples[0].prompts.previous_logits)
            return super().predict_prompts(features, samples)

    batch = picture(WIDE, points=CENTRE)
    (sample,) = ClickProtocol(max_clicks=2).run(Watching(prompt_kinds=ALL_PROMPT_KINDS), batch)
    assert seen[0] is None
    assert seen[1].shape == (1, 1, 32, 32)  # canvas of 128 x 128, stride 4
    assert seen[1].max() > 0
    assert sample.prompts.previous_logits is None


def test_objects_that_are_done_leave_the_batch():
    easy = picture(SQUARE, points=CENTRE)
    hard = picture(SQUARE, (0, 0, 63, 21), points=[CENTRE[0], [[31.5, 10.5]]])
    model, samples = run(join(easy, hard))
    assert model.asked_rows[0] == [1, 2]
    assert model.asked_rows[1] == [1]
    assert samples[0].pred_prompted.click_ious[0].isnan().sum() == 19


def test_sessions_stop_at_the_threshold_but_not_before_the_first_clicks():
    batch = picture((40, 39, 61, 61), points=CENTRE)  # first answer: IoU 21 / 22
    model, (sample,) = run(batch, min_clicks=1)
    assert model.asked_rows == [[1]]
    batch = picture((40, 39, 61, 61), points=CENTRE)
    model, (sample,) = run(batch, min_clicks=3)
    assert (~sample.pred_prompted.click_ious.isnan()).sum() >= 2


def test_other_prompts_are_answered_once():
    nan = float('nan')
    batch = picture(
        WIDE,
        kinds=['click', 'box'],
        points=[CENTRE[0], [[0.0, 0.0]]],
        point_labels=[[1], [-1]],
        boxes=[[nan] * 4, list(map(float, WIDE))],
        object_ids=[1, 1],
    )
    model, (sample,) = run(batch)
    assert model.asked_rows == [[2], [1], [1]]
    assert sample.pred_prompted.prompt_kind == ['click', 'box']
    assert sample.pred_prompted.click_ious[1].isnan().all()
    metrics = score([sample])
    assert metrics['interactive/box_mIoU'] == 100
    assert metrics['interactive/NoC@85'] == 3


def test_kinds_that_the_model_does_not_know_are_left_out():
    nan = float('nan')
    batch = picture(
        WIDE,
        kinds=['box', 'click'],
        points=[[[0.0, 0.0]], CENTRE[0]],
        point_labels=[[-1], [1]],
        boxes=[list(map(float, WIDE)), [nan] * 4],
        object_ids=[1, 1],
    )
    model, (sample,) = run(batch, kinds={'click'})
    assert model.asked_rows == [[1]]
    assert sample.prompt_kinds == ['click']
    assert sample.prompt_targets.tolist() == [0]
    assert list(score([sample])) == ['interactive/mIoU@1']


def test_a_sample_without_prompts_is_answered_by_nothing():
    empty = picture(points=[[[0.0, 0.0]]])
    empty['data_samples'][0].prompts = Prompts.create(points=torch.zeros(0, 1, 2))
    empty['data_samples'][0].prompt_targets = torch.zeros(0, dtype=torch.long)
    full = picture(SQUARE, points=CENTRE)
    model, samples = run(join(empty, full))
    assert model.asked_rows == [[1]]
    assert samples[0].pred_prompted.masks.shape == (0, 1, 1, *SIZE)
    assert score(samples)['interactive/mIoU@1'] == pytest.approx(100)


def test_ground_truth_of_another_size_is_refused():
    batch = picture(SQUARE, points=CENTRE)
    batch['data_samples'][0].gt_segments.masks = torch.zeros(1, 1, 50, 50, dtype=torch.bool)
    with pytest.raises(ValueError, match='use TestResize'):
        run(batch)


@pytest.mark.parametrize('settings', [dict(max_clicks=0), dict(stop_at=1.5), dict(min_clicks=0)])
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        ClickProtocol(**settings)


def test_it_is_built_from_a_config():
    assert TASK_UTILS.build(dict(type='ClickProtocol', max_clicks=3)).max_clicks == 3
