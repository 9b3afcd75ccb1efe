"""Statistics of samples add up to what the metrics report, and are kept."""

import json

import numpy as np
import pytest
import torch
from mmengine.config import Config

from seg.comparison import sample_scoring
from seg.comparison.sample_scoring import score_samples
from seg.comparison.sample_statistics import sample_statistics, score_of
from seg.evaluation.metrics import (
    DavisMetric,
    IdentityMetric,
    InteractiveMetric,
    PanopticMetric,
)
from seg.registry import MODELS
from seg.testing.tiny_rapsam import tiny_prompted_cfg, tiny_video_cfg, toy_sample
from seg.utils.checks import UserError

META = dict(classes=tuple('abcde'), num_things=3)
SHAPES = dict(num_things=8, num_stuff=3)


def predicted(task, metric, num_frames=1):
    torch.manual_seed(0)
    model = MODELS.build(tiny_video_cfg()).eval()
    metric.dataset_meta = META
    samples = []
    for seed in range(3):
        clip, sample = toy_sample(task, num_frames=num_frames, seed=seed)
        with torch.no_grad():
            samples += model.test_step(dict(inputs=[clip], data_samples=[sample]))
    return samples


@pytest.mark.parametrize(
    ('task', 'metric', 'num_frames', 'name', 'key'),
    [
        ('panoptic', PanopticMetric(), 1, 'PQ', 'panoptic/PQ'),
        ('interactive_image', InteractiveMetric(), 1, 'mIoU@1', 'interactive/mIoU@1'),
        ('interactive_video', DavisMetric(), 4, 'J&F', 'davis/J&F'),
    ],
)
@pytest.mark.parametrize('annotated', [None, (0, 3)])
def test_sums_give_the_score_of_the_metric(task, metric, num_frames, name, key, annotated):
    samples = predicted(task, metric, num_frames)
    for sample in samples:
        sample.set_metainfo(dict(annotated_classes=annotated))
    statistics = np.array([sample_statistics(metric, sample)[name] for sample in samples])
    ours = 100 * score_of(name)(statistics.sum(axis=0, keepdims=True))[0]
    metric.process(None, [sample.to_dict() for sample in samples])
    assert ours == pytest.approx(metric.evaluate(len(samples))[key])


def test_other_metrics_are_refused():
    metric = IdentityMetric()
    (sample, *_) = predicted('interactive_video', metric, 4)
    with pytest.raises(UserError, match='got IdentityMetric'):
        sample_statistics(metric, sample)


def test_scored_samples_are_kept_and_more_are_added(tmp_path):
    model = tiny_prompted_cfg()
    model['head'].update(SHAPES)
    model['head']['prompt_encoder']['fusion']['text_encoder']['vocabulary'] = ('the', 'red')
    torch.manual_seed(0)
    checkpoint = tmp_path / 'weights.pth'
    torch.save(MODELS.build(model).state_dict(), checkpoint)
    source = dict(
        type='ShapesDataset',
        task='interactive_image',
        split='val',
        num_samples=1,
        size=(64, 96),
        pipeline=[
            dict(type='EvaluationPrompts', kinds=('click', 'box')),
            dict(type='TestResize', scale=(64, 96)),
            dict(type='PackClip'),
        ],
    )
    cfg = Config(
        dict(
            model=model,
            val_dataloader=dict(dataset=dict(sources=dict(interactive_image=source))),
            val_evaluator=dict(metrics=dict(interactive_image=dict(type='InteractiveMetric'))),
        )
    )
    two = score_samples(cfg, checkpoint, 'interactive_image', 2, tmp_path)
    path = tmp_path / 'scores_interactive_image.json'
    content = json.loads(path.read_text())
    content['rows'][0]['mIoU@1'] = [9.0, 9]  # what is there is not scored again
    path.write_text(json.dumps(content))
    three = score_samples(cfg, checkpoint, 'interactive_image', 3, tmp_path)
    assert three['mIoU@1'].shape == (3, 2)
    assert three['mIoU@1'][0].tolist() == [9.0, 9]
    assert three['box_mIoU'][1].tolist() == two['box_mIoU'][1].tolist()
    assert (three['text_gIoU'] == 0).all()
    renamed = checkpoint.rename(tmp_path / 'other.pth')  # the same weights
    kept = score_samples(cfg, renamed, 'interactive_image', 1, tmp_path)
    assert kept['mIoU@1'][0].tolist() == [9.0, 9]
    cfg.val_evaluator['metrics']['interactive_image']['prefix'] = 'another metric'
    fresh = score_samples(cfg, renamed, 'interactive_image', 1, tmp_path)
    assert fresh['mIoU@1'][0].tolist() == two['mIoU@1'][0].tolist()


@pytest.mark.parametrize('content', ['{"rows": [', '[1]', '{}', '{"rows": 3}', '{"rows": [3]}'])
def test_a_broken_file_of_scores_is_told(tmp_path, content):
    path = tmp_path / 'scores_vos.json'
    path.write_text(content)
    with pytest.raises(
        UserError, match=r'scores_vos\.json: expected scores .* remove the file to score'
    ):
        sample_scoring._read(path)
