from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.evaluator import metric as mmengine_metric
from mmengine.structures import InstanceData

from seg.registry import METRICS
from seg.structures import ClipSample

NAN = float('nan')


def stripes(*lengths, width=10):
    """Masks (N, 1, 1, W); mask i covers the first ``lengths[i]`` pixels of its own row."""
    masks = torch.zeros(len(lengths), 1, len(lengths), width, dtype=torch.bool)
    for i, length in enumerate(lengths):
        masks[i, 0, i, :length] = True
    return masks


def make_sample(truth, predicted, img_id=1, ids=None, is_crowd=None, rows=None, **fields):
    """Ground truth with object ids 5, 6, ...; predictions (N, 1, H, W) for ``ids``."""
    sample = ClipSample(metainfo={'img_id': img_id})
    object_ids = torch.arange(5, 5 + len(truth))
    sample.gt_segments = InstanceData(
        masks=truth,
        labels=torch.zeros(len(truth), dtype=torch.long),
        object_ids=object_ids,
        is_crowd=torch.tensor(is_crowd or [False] * len(truth)),
    )
    sample.pred_prompted = InstanceData(
        object_ids=object_ids if ids is None else torch.tensor(ids, dtype=torch.long),
        masks=predicted[:, None],
        iou_scores=torch.ones(len(predicted), 1),
        **fields,
    )
    return sample.to_dict()


def evaluate(samples, **kwargs):
    metric = METRICS.build({'type': 'InteractiveMetric', **kwargs})
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_one_click_by_hand():
    sample = make_sample(stripes(10, 10), stripes(5, 8))
    assert evaluate([sample]) == {'interactive/mIoU@1': pytest.approx(65)}


def test_every_segment_counts_once_and_not_every_image():
    one = make_sample(stripes(10), stripes(10))
    three = make_sample(stripes(10, 10, 10), stripes(1, 1, 2), img_id=2)
    assert evaluate([one, three])['interactive/mIoU@1'] == pytest.approx(100 * 1.4 / 4)


def test_a_perfect_prediction_scores_one_hundred():
    sample = make_sample(stripes(3, 10, 7), stripes(3, 10, 7))
    assert evaluate([sample])['interactive/mIoU@1'] == 100


def test_the_best_ranked_mask_counts():
    sample = make_sample(stripes(10), stripes(6))
    sample['pred_prompted']['masks'] = torch.stack([stripes(6), stripes(10)], dim=1)
    assert evaluate([sample])['interactive/mIoU@1'] == pytest.approx(60)


def test_objects_are_matched_by_id():
    swapped = make_sample(stripes(10, 10), stripes(4, 6).flip(0), ids=[6, 5])
    assert evaluate([swapped])['interactive/mIoU@1'] == pytest.approx(50)


def test_a_clip_is_one_volume():
    truth = torch.ones(1, 4, 1, 10, dtype=torch.bool)
    predicted = truth.clone()
    predicted[:, 3] = False
    assert evaluate([make_sample(truth, predicted)])['interactive/mIoU@1'] == pytest.approx(75)


def test_crowds_and_empty_segments_do_not_count():
    truth = stripes(10, 10, 0)
    sample = make_sample(truth, stripes(10, 0, 10), is_crowd=[False, True, False])
    assert evaluate([sample])['interactive/mIoU@1'] == 100
    unprompted = make_sample(truth, stripes(10), ids=[5], is_crowd=[False, True, False])
    unprompted['pred_prompted']['masks'] = truth[:1, None]
    assert evaluate([unprompted])['interactive/mIoU@1'] == 100


def test_sessions_are_reported_as_far_as_they_go():
    ious = torch.tensor([[0.2, 0.4, 0.6], [0.6, 0.8, NAN]])
    scores = evaluate([make_sample(stripes(10, 10), stripes(6, 8), click_ious=ious)])
    assert scores == {
        'interactive/mIoU@1': pytest.approx(40),
        'interactive/mIoU@3': pytest.approx(70),
    }


def test_number_of_clicks_of_full_sessions():
    ious = torch.full((2, 20), NAN)
    ious[0, :3] = torch.tensor([0.5, 0.86, 0.95])
    ious[1, :2] = torch.tensor([0.5, 0.6])
    scores = evaluate([make_sample(stripes(10, 10), stripes(9, 6), click_ious=ious)])
    assert scores['interactive/NoC@85'] == (2 + 20) / 2
    assert scores['interactive/NoC@90'] == (3 + 20) / 2
    assert scores['interactive/mIoU@5'] == pytest.approx(100 * (0.95 + 0.6) / 2)


def test_short_sessions_are_full_when_the_metric_says_so():
    ious = torch.tensor([[0.5, 0.9]])
    sample = make_sample(stripes(10), stripes(9), click_ious=ious)
    assert evaluate([sample], max_clicks=2)['interactive/NoC@85'] == 2


def test_every_kind_of_prompt_has_its_score():
    truth = torch.zeros(2, 1, 2, 10, dtype=torch.bool)
    truth[0, 0, 0, :10], truth[1, 0, 1, :2] = True, True
    lengths = {'click': (9, 1), 'box': (8, 1), 'mask': (7, 1), 'text': (6, 1)}
    predicted = torch.cat([stripes(*pair) for pair in lengths.values()])
    kinds = [kind for kind in lengths for _ in range(2)]
    sample = make_sample(truth, predicted, ids=[5, 6] * 4, prompt_kind=kinds)
    assert evaluate([sample]) == {
        'interactive/mIoU@1': pytest.approx(100 * (0.9 + 0.5) / 2),
        'interactive/box_mIoU': pytest.approx(100 * (0.8 + 0.5) / 2),
        'interactive/mask_mIoU': pytest.approx(100 * (0.7 + 0.5) / 2),
        'interactive/text_gIoU': pytest.approx(100 * (0.6 + 0.5) / 2),
        'interactive/text_cIoU': pytest.approx(100 * (6 + 1) / (10 + 2)),
    }


def test_text_may_cover_some_segments_and_name_one_twice():
    predicted = torch.zeros(2, 1, 2, 10, dtype=torch.bool)
    predicted[0, 0, 1, :5], predicted[1, 0, 1, :10] = True, True
    sample = make_sample(stripes(10, 10), predicted, ids=[6, 6], prompt_kind=['text', 'text'])
    assert evaluate([sample])['interactive/text_gIoU'] == pytest.approx(75)


def test_values_of_other_kinds_in_a_session_are_not_read():
    sample = make_sample(
        stripes(10, 10),
        torch.cat([stripes(5, 5), stripes(9, 9)]),
        ids=[5, 6, 5, 6],
        prompt_kind=['click', 'click', 'box', 'box'],
        click_ious=torch.tensor([[0.5, 0.7], [0.5, NAN], [NAN, NAN], [NAN, NAN]]),
    )
    scores = evaluate([sample])
    assert scores['interactive/mIoU@1'] == 50 and scores['interactive/box_mIoU'] == 90


def test_an_image_without_segments_changes_nothing():
    empty = make_sample(stripes()[:, :, :0], stripes()[:, :, :0], img_id=2)
    assert evaluate([make_sample(stripes(10), stripes(5)), empty])['interactive/mIoU@1'] == 50


def test_gathering_over_ranks_cuts_no_segment():
    """Forty segments on two images stay forty though two records are kept."""
    metric = METRICS.build({'type': 'InteractiveMetric'})
    rng = np.random.default_rng(0)
    lengths = rng.integers(1, 11, (2, 20)).tolist()
    for img_id, row in enumerate(lengths):
        metric.process(None, [make_sample(stripes(*[10] * 20), stripes(*row), img_id=img_id)])

    def collect(results, size, device, tmpdir=None):
        return results[:size]

    with mock.patch.object(mmengine_metric, 'collect_results', collect):
        scores = metric.evaluate(size=2)
    assert scores['interactive/mIoU@1'] == pytest.approx(10 * np.mean(lengths))


@pytest.mark.parametrize('key', ['pred_prompted', 'gt_segments'])
def test_names_what_is_missing(key):
    sample = make_sample(stripes(10), stripes(10))
    del sample[key]
    with pytest.raises(ValueError, match=f"image 1: expected '{key}'"):
        evaluate([sample])


def test_names_segments_that_were_not_prompted():
    sample = make_sample(stripes(10, 10), stripes(10), ids=[5])
    with pytest.raises(ValueError, match=r'a click prediction for every .* objects \[6\]'):
        evaluate([sample])


def test_names_an_image_without_any_prompted_object():
    sample = make_sample(stripes(10, 10), stripes(10)[:0], ids=[])
    with pytest.raises(ValueError, match=r'objects \[5, 6\]'):
        evaluate([sample])


def test_names_objects_that_do_not_exist():
    sample = make_sample(stripes(10), stripes(10), ids=[9])
    with pytest.raises(ValueError, match=r'object_ids: \[9\] are not among'):
        evaluate([sample])


def test_names_masks_of_another_size():
    sample = make_sample(stripes(10), stripes(10)[..., :5])
    with pytest.raises(ValueError, match='resize predictions to ori_shape'):
        evaluate([sample])


def test_names_masks_without_a_rank():
    sample = make_sample(stripes(10), stripes(10))
    sample['pred_prompted']['masks'] = stripes(10)
    with pytest.raises(ValueError, match=r'expected shape \(N, M, T, H, W\)'):
        evaluate([sample])


def test_names_an_unknown_kind():
    sample = make_sample(stripes(10), stripes(10), prompt_kind=['boxes'])
    with pytest.raises(ValueError, match=r"unknown prompt kind 'boxes'.*Did you mean 'box'"):
        evaluate([sample])


@pytest.mark.parametrize('ious', [[[1.2]], [[NAN, 0.5]], [[-0.1]]])
def test_names_values_that_are_no_iou(ious):
    sample = make_sample(stripes(10), stripes(10), click_ious=torch.tensor(ious))
    with pytest.raises(ValueError, match='click_ious: expected fractions'):
        evaluate([sample])


def test_names_sessions_of_different_length():
    samples = [
        make_sample(stripes(10), stripes(10), img_id=n, click_ious=torch.ones(1, n)) for n in (2, 3)
    ]
    with pytest.raises(ValueError, match=r'sessions of one length in all samples, got \[2, 3\]'):
        evaluate(samples)


def test_names_a_data_set_without_segments():
    empty = make_sample(stripes()[:, :, :0], stripes()[:, :, :0])
    with pytest.raises(ValueError, match='expected segments to prompt, got none in 1 images'):
        evaluate([empty])
