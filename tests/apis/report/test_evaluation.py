import math

import pytest
import torch

from seg.apis.report import REPORT_TASKS, TaskResult, evaluate_task, find_report_task
from seg.apis.shapes_samples import ShapesSamples
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS
from seg.structures import PanopticData, Segment, Task
from seg.testing.fake_segmentor import ALL_PROMPT_KINDS, FakeSegmentor


class Oracle(FakeSegmentor):
    """Answers with the ground truth, the panoptic ids in another order."""

    def test_step(self, data):
        (sample,) = data['data_samples']
        gt = sample.gt_segments
        ids = torch.arange(len(gt.labels), 0, -1)
        segment_map = (gt.masks * ids[:, None, None, None]).sum(dim=0).int()
        segments = [
            Segment(int(i), int(label), int(label) < 8, 1.0)
            for i, label in zip(ids, gt.labels, strict=True)
        ]
        sample.pred_panoptic = PanopticData(segment_map, segments)
        return [sample]

    def predict_prompts(self, features, samples, *, multimask_output=False):
        (sample,) = super().predict_prompts(features, samples)
        rows = sample.prompts.object_ids[:, None] == self.segments.object_ids
        sample.pred_prompted.masks = self.segments.masks[rows.int().argmax(dim=1)][:, None]
        return [sample]


def evaluate(model, task, num_samples=3):
    samples = ShapesSamples(task, model.cfg, num_samples, prompt_features=model.prompt_kinds)
    if isinstance(model, Oracle):
        preprocess = model.data_preprocessor.forward

        def remember(data, training=False):
            model.segments = data['data_samples'][0].gt_segments
            return preprocess(data, training)

        model.data_preprocessor.forward = remember
    *steps, result = evaluate_task(model, REPORT_TASKS[task], samples)
    assert steps == [None] * num_samples
    return result


@pytest.mark.parametrize('task', [Task.PANOPTIC, Task.INTERACTIVE_IMAGE])
def test_the_truth_scores_a_hundred_and_the_baseline_does_not(task):
    classes = SHAPES_THINGS + SHAPES_STUFF
    result = evaluate(Oracle(classes=classes, prompt_kinds=ALL_PROMPT_KINDS), task)
    best = {'NoC@85': 1, 'NoC@90': 1}
    assert result.model == {name: pytest.approx(best.get(name, 100)) for name in result.model}
    assert result.per_sample == pytest.approx([100] * 3)
    main = REPORT_TASKS[task].keys[0][1]
    assert 0 <= result.baseline[main] < 60


@pytest.mark.parametrize('task', [Task.PANOPTIC, Task.INTERACTIVE_IMAGE])
def test_halves_and_squares_score_little(task):
    result = evaluate(FakeSegmentor(classes=SHAPES_THINGS + SHAPES_STUFF), task)
    assert result.model[REPORT_TASKS[task].keys[0][1]] < 40


def test_the_keys_of_the_report_card():
    keys = {name: [key for _, key in report.keys] for name, report in REPORT_TASKS.items()}
    assert list(keys) == [
        *('panoptic', 'interactive_image', 'vos', 'interactive_video'),
        *('vis', 'video_panoptic', 'identity'),
    ]
    assert keys['panoptic'] == ['PQ', 'SQ', 'RQ']
    assert keys['interactive_image'][:4] == ['mIoU@1', 'mIoU@3', 'mIoU@5', 'box_mIoU']
    assert keys['vos'] == ['J&F', 'J', 'F', 'J&F_no_memory', 'J&F_no_dpsr']
    assert keys['interactive_video'] == ['J&F@1click', 'J&F_corrected', 'text_J&F']
    assert (keys['vis'], keys['video_panoptic']) == (['AP'], ['VPQ', 'STQ'])


def test_a_model_of_single_clicks_is_asked_nothing_else():
    result = evaluate(FakeSegmentor(), Task.INTERACTIVE_IMAGE, 1)
    assert list(result.model) == list(result.baseline) == ['mIoU@1']


def test_every_kind_of_prompt_is_scored_beside_the_baseline():
    result = evaluate(FakeSegmentor(prompt_kinds=ALL_PROMPT_KINDS), Task.INTERACTIVE_IMAGE)
    assert list(result.model) == [name for _, name in REPORT_TASKS[Task.INTERACTIVE_IMAGE].keys]
    assert list(result.baseline) == list(result.model)
    # Boxes and masks are their own answers here and there.
    for name in ('box_mIoU', 'mask_mIoU'):
        assert result.model[name] == pytest.approx(result.baseline[name], abs=1)
    assert result.baseline['text_gIoU'] < 40
    assert result.baseline['mIoU@5'] >= result.baseline['mIoU@1']


def test_ranking_leaves_out_samples_without_a_score():
    result = TaskResult({}, {}, [10.0, math.nan, 30.0, 20.0])
    assert result.ranking() == [2, 3, 0]


def test_the_baseline_never_leaks_into_the_model():
    model = FakeSegmentor()
    (packed,) = ShapesSamples(Task.PANOPTIC, model.cfg, 1)
    REPORT_TASKS[Task.PANOPTIC].baseline(packed)
    assert 'pred_panoptic' not in packed.sample
    sample = REPORT_TASKS[Task.PANOPTIC].predict(model, packed)
    assert len(sample.pred_panoptic.segments) == 2


def test_samples_come_from_the_validation_worlds():
    samples = ShapesSamples(Task.PANOPTIC, FakeSegmentor().cfg, 1, seed=3)
    assert samples.dataset.world.seed == 2 * 3 + 1  # training worlds are even


def test_models_without_a_memory_have_no_sections_on_videos():
    fitting = [name for name, report in REPORT_TASKS.items() if report.fits(FakeSegmentor())]
    assert fitting == ['panoptic', 'interactive_image']


def test_an_unknown_task_is_named():
    with pytest.raises(ValueError, match="Did you mean 'panoptic'"):
        find_report_task('panoptik')
