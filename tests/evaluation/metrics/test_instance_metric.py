import json
import math
from unittest import mock

import pytest
import torch
from mmengine.structures import InstanceData

from seg.registry import METRICS
from seg.structures import ClipSample

META = {'classes': ('cat', 'dog', 'sky'), 'num_things': 2, 'category_ids': [17, 18, 187]}


def masks_of(boxes, size=(40, 60)):
    masks = torch.zeros(len(boxes), 1, *size, dtype=torch.bool)
    for mask, (x1, y1, x2, y2) in zip(masks, boxes, strict=True):
        mask[0, y1:y2, x1:x2] = True
    return masks


def make_sample(truth, found, img_id=1, is_crowd=None):
    """Lists of (label, box), and (label, box, score) for what was found."""
    sample = ClipSample(metainfo={'img_id': img_id})
    sample.gt_segments = InstanceData(
        masks=masks_of([box for _, box in truth]),
        labels=torch.tensor([label for label, _ in truth], dtype=torch.long),
        is_crowd=torch.tensor(is_crowd or [False] * len(truth)),
    )
    sample.pred_instances = InstanceData(
        masks=masks_of([box for _, box, _ in found]),
        labels=torch.tensor([label for label, _, _ in found], dtype=torch.long),
        scores=torch.tensor([score for _, _, score in found]),
        bboxes=torch.tensor([box for _, box, _ in found], dtype=torch.float32).reshape(-1, 4),
    )
    return sample.to_dict()


def build(meta=META, **kwargs):
    metric = METRICS.build({'type': 'InstanceMetric', **kwargs})
    metric.dataset_meta = meta
    return metric


def evaluate(samples, **kwargs):
    metric = build(**kwargs)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


CAT, DOG, SKY = (2, 2, 12, 22), (30, 5, 50, 30), (0, 30, 60, 40)


def test_a_perfect_prediction_scores_one_hundred_and_stuff_is_left_out():
    sample = make_sample([(0, CAT), (1, DOG), (2, SKY)], [(0, CAT, 0.9), (1, DOG, 0.8)])
    scores = evaluate([sample])
    names = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')
    assert list(scores) == [f'coco/{t}_{n}' for t in ('bbox', 'segm') for n in names]
    assert scores['coco/segm_mAP'] == scores['coco/bbox_mAP'] == pytest.approx(100)
    assert math.isnan(scores['coco/segm_mAP_l'])


def test_a_box_of_iou_07_passes_five_of_ten_thresholds():
    sample = make_sample([(0, (0, 0, 10, 10))], [(0, (0, 0, 10, 7), 0.9)])
    scores = evaluate([sample])
    for kind in ('bbox', 'segm'):
        assert scores[f'coco/{kind}_mAP_50'] == pytest.approx(100)
        assert scores[f'coco/{kind}_mAP_75'] == 0
        assert scores[f'coco/{kind}_mAP'] == pytest.approx(50)


def test_masks_and_boxes_are_scored_apart():
    sample = make_sample([(0, CAT)], [(0, CAT, 0.9)])
    sample['pred_instances']['masks'][:] = False
    sample['pred_instances']['masks'][..., 2:4, 2:4] = True
    scores = evaluate([sample])
    assert scores['coco/bbox_mAP'] == pytest.approx(100) and scores['coco/segm_mAP'] == 0


def test_a_missed_class_halves_the_score():
    sample = make_sample([(0, CAT), (1, DOG)], [(0, CAT, 0.9)])
    assert evaluate([sample])['coco/segm_mAP'] == pytest.approx(50)


def test_no_predictions_score_zero():
    assert evaluate([make_sample([(0, CAT)], [])])['coco/segm_mAP'] == 0


def test_crowds_excuse_what_they_cover():
    found = [(0, CAT, 0.5), (0, (31, 6, 40, 20), 0.9)]
    sample = make_sample([(0, CAT), (0, DOG)], found, is_crowd=[False, True])
    assert evaluate([sample])['coco/segm_mAP'] == pytest.approx(100)


def test_logs_tables_and_prints_nothing(capsys):
    with mock.patch('seg.evaluation.metrics.instance_metric.MMLogger') as logger:
        evaluate([make_sample([(0, CAT)], [(0, CAT, 0.9)])], iou_types=('segm',), classwise=True)
    logged = logger.get_current_instance.return_value.info.call_args_list
    assert 'Average Precision' in logged[0].args[2]
    assert [line.split() for line in logged[1].args[2].splitlines()[1:]] == [
        ['cat', '100.00'],
        ['dog', 'nan'],
    ]
    assert capsys.readouterr().out == ''


def write_annotations(path, image_ids):
    annotation = {
        'id': 1,
        'image_id': image_ids[0],
        'category_id': 18,
        'iscrowd': 0,
        'bbox': [30, 5, 20, 25],
        'area': 500,
        'segmentation': [[30, 5, 50, 5, 50, 30, 30, 30]],
    }
    content = {
        'images': [{'id': i, 'height': 40, 'width': 60} for i in image_ids],
        'categories': [{'id': 17}, {'id': 18}],
        'annotations': [annotation],
    }
    path.write_text(json.dumps(content))
    return str(path)


def test_ground_truth_from_a_file(tmp_path):
    path = write_annotations(tmp_path / 'a.json', [7])
    sample = make_sample([(0, CAT)], [(1, DOG, 0.9)], img_id=7)
    scores = evaluate([sample], ann_file=path)
    assert scores['coco/segm_mAP'] == pytest.approx(100)
    assert scores['coco/bbox_mAP'] == pytest.approx(100)


def test_names_images_of_the_file_that_were_not_predicted(tmp_path):
    path = write_annotations(tmp_path / 'a.json', [7, 8, 9])
    with pytest.raises(ValueError, match='its 3 images, got 1 of them and 0 others'):
        evaluate([make_sample([], [], img_id=7)], ann_file=path)


def test_names_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match='ann_file'):
        evaluate([make_sample([], [])], ann_file=str(tmp_path / 'a.json'))


def test_a_file_needs_category_ids():
    metric = build(ann_file='a.json', meta={'classes': ('cat',), 'num_things': 1})
    with pytest.raises(ValueError, match="dataset_meta: expected 'category_ids'"):
        metric.process(None, [make_sample([], [])])


def test_only_formatting(tmp_path):
    prefix = tmp_path / 'run'
    sample = make_sample([], [(1, DOG, 0.5)], img_id=7)
    assert evaluate([sample], format_only=True, outfile_prefix=str(prefix)) == {}
    boxes = json.loads((tmp_path / 'run.bbox.json').read_text())
    assert boxes == [{'image_id': 7, 'category_id': 18, 'score': 0.5, 'bbox': [30, 5, 20, 25]}]
    masks = json.loads((tmp_path / 'run.segm.json').read_text())
    assert masks[0]['segmentation']['size'] == [40, 60] and 'bbox' not in masks[0]


def test_formatting_needs_a_place():
    with pytest.raises(ValueError, match='outfile_prefix: expected a path'):
        build(format_only=True)


def test_names_an_unknown_kind_of_overlap():
    with pytest.raises(ValueError, match="unknown iou_type 'box'"):
        build(iou_types=('box',))


def test_names_stuff_among_the_instances():
    with pytest.raises(ValueError, match=r'things in \[0, 2\), got \[2\]'):
        build().process(None, [make_sample([], [(2, SKY, 0.5)])])


def test_names_a_clip():
    sample = make_sample([], [(0, CAT, 0.5)])
    sample['pred_instances']['masks'] = torch.zeros(1, 2, 40, 60, dtype=torch.bool)
    with pytest.raises(ValueError, match=r'expected shape \(N, 1, H, W\)'):
        build().process(None, [sample])


@pytest.mark.parametrize('key', ['pred_instances', 'gt_segments'])
def test_names_what_is_missing(key):
    sample = make_sample([(0, CAT)], [(0, CAT, 0.9)])
    del sample[key]
    with pytest.raises(ValueError, match=f"image 1: expected '{key}'"):
        build().process(None, [sample])
