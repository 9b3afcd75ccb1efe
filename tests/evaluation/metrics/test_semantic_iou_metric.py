import json

import pytest
import torch

from seg.evaluation.metrics import SemanticIoUMetric
from seg.structures import PanopticData, Segment
from seg.utils.checks import UserError


def sample(predicted, truth, crowd=()):
    """Maps (H, W) of labels; -1 is void in either."""
    predicted, truth = torch.tensor(predicted), torch.tensor(truth)
    labels = sorted(set(truth.flatten().tolist()) - {-1})
    found = sorted(set(predicted.flatten().tolist()) - {-1})
    return dict(
        img_id=1,
        gt_segments=dict(
            masks=torch.stack([truth == label for label in labels])[:, None],
            labels=torch.tensor(labels),
            is_crowd=torch.tensor([label in crowd for label in labels]),
        ),
        pred_panoptic=PanopticData(
            (predicted + 1).int()[None], [Segment(v + 1, v, False, 1.0) for v in found]
        ),
    )


def score(*samples, **settings):
    metric = SemanticIoUMetric(**settings)
    metric.dataset_meta = dict(classes=('road', 'car', 'sky'))
    for item in samples:
        metric.process(None, [item])
    return metric.evaluate(len(samples))


def test_the_matrix_is_summed_over_images():
    found = score(sample([[0, 0, 1, 1]], [[0, 0, 0, 1]]), sample([[1, 1]], [[1, 1]]))

    assert found['auto/IoU_road'] == pytest.approx(100 * 2 / 3)
    assert found['auto/IoU_car'] == pytest.approx(100 * 3 / 4)
    assert found['auto/mIoU'] == pytest.approx(100 * (2 / 3 + 3 / 4) / 2)
    assert found['auto/IoU_sky'] != found['auto/IoU_sky']  # occurs nowhere


def test_ignored_pixels_do_not_count_and_void_predictions_are_wrong():
    found = score(sample([[0, 2, -1, 1]], [[0, -1, 0, 1]], crowd=[1]))
    assert found['auto/IoU_road'] == 50
    assert found['auto/mIoU'] == 50


def test_results_carry_the_name_of_their_regime(tmp_path):
    found = score(sample([[0]], [[0]]), regime='oracle_gt_box', out_dir=tmp_path)
    content = json.loads((tmp_path / 'evaluation_results.json').read_text())

    assert found['oracle_gt_box/mIoU'] == 100
    assert content == dict(
        regime='oracle_gt_box', percent=dict(mIoU=100.0, PixelAcc=100.0, IoU_road=100.0)
    )
    assert 'road' in (tmp_path / 'evaluation_results.txt').read_text()


def test_unknown_regimes_and_wrong_sizes_are_named():
    with pytest.raises(UserError, match="unknown regime 'oracle'"):
        SemanticIoUMetric('oracle')
    item = sample([[0, 0]], [[0, 0]])
    item['pred_panoptic'] = sample([[0]], [[0]])['pred_panoptic']
    with pytest.raises(UserError, match='resize predictions to ori_shape'):
        score(item)
    with pytest.raises(UserError, match=r'expected classes below 3, those of the data, got \[7\]'):
        score(sample([[7]], [[0]]))
    with pytest.raises(UserError, match='expected labelled pixels'):
        score(sample([[0]], [[0]], crowd=[0]))
