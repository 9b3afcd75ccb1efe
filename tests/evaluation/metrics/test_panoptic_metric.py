import json
import math
from unittest import mock

import numpy as np
import pytest
import torch
from mmengine.evaluator import metric as mmengine_metric
from mmengine.structures import InstanceData

from seg.evaluation.functional.panoptic_files import read_panoptic_png
from seg.registry import METRICS
from seg.structures import ClipSample, PanopticData, Segment

META = {'classes': ('cat', 'dog', 'sky'), 'num_things': 2, 'category_ids': [17, 18, 187]}


def make_sample(gt_map, labels, pred_map, pred_labels, img_id=1, is_crowd=None):
    """A sample from id maps (T, H, W) whose ids 1..N have the given labels."""
    gt_map, pred_map = torch.tensor(gt_map), torch.tensor(pred_map, dtype=torch.int32)
    num = len(labels)
    sample = ClipSample(metainfo={'img_id': img_id})
    sample.gt_segments = InstanceData(
        masks=torch.stack([gt_map == i + 1 for i in range(num)])
        if num
        else torch.zeros((0, *gt_map.shape), dtype=torch.bool),
        labels=torch.tensor(labels, dtype=torch.long),
        object_ids=torch.arange(1, num + 1),
        is_crowd=torch.tensor(is_crowd or [False] * num),
    )
    segments = [Segment(i, label, label < 2, 0.5) for i, label in enumerate(pred_labels, 1)]
    sample.pred_panoptic = PanopticData(pred_map, segments)
    return sample.to_dict()


def perfect(img_id=1):
    ids = [[[1, 1, 2, 2], [3, 3, 3, 3]]]
    return make_sample(ids, [0, 1, 2], ids, [0, 1, 2], img_id)


def build(**kwargs):
    metric = METRICS.build({'type': 'PanopticMetric', **kwargs})
    metric.dataset_meta = META
    return metric


def evaluate(samples, **kwargs):
    metric = build(**kwargs)
    for sample in samples:
        metric.process(None, [sample])
    return metric.evaluate(len(samples))


def test_a_perfect_prediction_scores_one_hundred():
    scores = evaluate([perfect(), perfect(2)])
    names = [m + s for s in ('', '_th', '_st') for m in ('PQ', 'SQ', 'RQ')]
    assert scores == {f'panoptic/{name}': 100.0 for name in names}


def test_scores_by_hand():
    # cat: IoU 2/3; dog: missed; sky: a match in every pixel.
    sample = make_sample([[[1, 1, 2, 3]]], [0, 1, 2], [[[1, 0, 0, 2]]], [0, 2])
    worse = make_sample([[[1, 1, 1, 2]]], [0, 2], [[[1, 1, 0, 2]]], [0, 2], img_id=2)
    scores = evaluate([sample, worse])
    # Half of the first cat is not above 0.5; the second one has IoU 2/3.
    cat = (2 / 3) / (1 + 0.5 + 0.5)
    assert scores['panoptic/PQ'] == pytest.approx(100 * (cat + 0 + 1) / 3)
    assert scores['panoptic/PQ_th'] == pytest.approx(100 * cat / 2)
    assert scores['panoptic/PQ_st'] == pytest.approx(100)
    assert scores['panoptic/SQ_th'] == pytest.approx(100 * (2 / 3) / 2)


def test_classes_that_a_data_set_lacks_are_no_classes_of_their_own():
    """A model of several data sets calls a dog what this one could only call a cat."""
    samples = [perfect(), make_sample([[[1, 2]]], [0, 2], [[[1, 2]]], [1, 2], img_id=2)]
    of_all = evaluate(samples)['panoptic/PQ']
    for sample in samples:
        sample['annotated_classes'] = (0, 2)
    annotated = evaluate(samples)
    samples[1]['annotated_classes'] = None

    cat = 1 / (1 + 0.5)  # found in one picture, missed in the other
    assert annotated['panoptic/PQ'] == pytest.approx(100 * (cat + 1) / 2)
    assert annotated['panoptic/PQ_th'] == pytest.approx(100 * cat)
    dog = 1 / (1 + 0.5)  # found where it is not
    assert of_all == pytest.approx(100 * (cat + dog + 1) / 3)
    assert evaluate(samples)['panoptic/PQ'] == of_all, 'one sample does not say'


def test_a_clip_needs_one_id_over_its_frames():
    swapped = [[[1, 2]], [[2, 1]]]
    constant = [[[1, 2]], [[1, 2]]]
    assert evaluate([make_sample(constant, [0, 1], constant, [0, 1])])['panoptic/PQ'] == 100
    assert evaluate([make_sample(constant, [0, 1], swapped, [0, 1])])['panoptic/PQ'] == 0


def test_crowds_and_unknown_classes_are_excused():
    sample = make_sample(
        [[[1, 1, 2, 2, 3, 3]]], [0, -1, 2], [[[1, 1, 2, 2, 3, 3]]], [0, 1, 2], is_crowd=[1, 0, 0]
    )
    scores = evaluate([sample])
    assert math.isnan(scores['panoptic/PQ_th']) and scores['panoptic/PQ_st'] == 100


def test_an_image_without_segments_changes_nothing():
    empty = make_sample([[[0, 0]]], [], [[[0, 0]]], [], img_id=2)
    assert evaluate([perfect(), empty])['panoptic/PQ'] == 100


def test_an_empty_prediction_scores_zero():
    ids = [[[1, 1]]]
    assert evaluate([make_sample(ids, [0], [[[0, 0]]], [])])['panoptic/PQ'] == 0


def test_gathering_over_ranks_cuts_no_segment():
    """Ranks hand over one record per image, so cutting to the data set's length is harmless."""
    ranks = [build(), build()]
    for number in range(4):
        ranks[number % 2].process(None, [perfect(number)])
    wrong = make_sample([[[1, 2, 3]]], [0, 1, 2], [[[0, 0, 0]]], [], img_id=9)
    ranks[1].process(None, [wrong])
    everything = ranks[0].results + ranks[1].results

    def collect(results, size, device, tmpdir=None):
        return everything[:size]

    with mock.patch.object(mmengine_metric, 'collect_results', collect):
        scores = ranks[0].evaluate(size=5)
    assert scores['panoptic/RQ'] == pytest.approx(100 * 4 / 4.5)


def test_results_are_written_in_the_layout_of_coco(tmp_path):
    prefix = tmp_path / 'new' / 'run'
    sample = make_sample([[[1, 1], [1, 2]]], [0, 2], [[[1, 0], [2, 2]]], [1, 2], img_id=42)
    scores = evaluate([sample], outfile_prefix=str(prefix))
    assert 'panoptic/PQ' in scores
    content = json.loads((tmp_path / 'new' / 'run.panoptic.json').read_text())
    assert content['annotations'] == [
        {
            'image_id': 42,
            'file_name': '000000000042.png',
            'segments_info': [
                {'id': 1, 'category_id': 18, 'isthing': 1, 'score': 0.5},
                {'id': 2, 'category_id': 187, 'isthing': 0, 'score': 0.5},
            ],
        }
    ]
    ids = read_panoptic_png(tmp_path / 'new' / 'run.panoptic' / '000000000042.png')
    assert np.array_equal(ids, [[1, 0], [2, 2]])


def test_clips_cannot_be_written():
    ids = [[[1]], [[1]]]
    with pytest.raises(ValueError, match=r'expected images \(T = 1\), got 2 frames'):
        evaluate([make_sample(ids, [0], ids, [0])], outfile_prefix='never')


def test_writing_needs_category_ids(tmp_path):
    metric = build(outfile_prefix=str(tmp_path / 'run'))
    metric.dataset_meta = {key: META[key] for key in ('classes', 'num_things')}
    with pytest.raises(ValueError, match="dataset_meta: expected 'category_ids'"):
        metric.process(None, [perfect()])


def test_logs_a_table_of_the_classes(caplog):
    with mock.patch('seg.evaluation.metrics.panoptic_metric.MMLogger') as logger:
        evaluate([perfect()], classwise=True)
    table = logger.get_current_instance.return_value.info.call_args.args[1]
    assert table.splitlines()[1].split() == ['cat', '100.00', '100.00', '100.00']
    assert len(table.splitlines()) == 4


@pytest.mark.parametrize('key', ['pred_panoptic', 'gt_segments'])
def test_names_what_is_missing(key):
    sample = perfect()
    del sample[key]
    with pytest.raises(ValueError, match=f"image 1: expected '{key}'"):
        build().process(None, [sample])


def test_names_masks_that_overlap():
    sample = perfect()
    sample['gt_segments']['masks'][0] |= sample['gt_segments']['masks'][1]
    with pytest.raises(ValueError, match='expected exclusive masks'):
        build().process(None, [sample])


def test_names_a_prediction_of_another_size():
    sample = make_sample([[[1, 1]]], [0], [[[1]]], [0])
    with pytest.raises(ValueError, match='predict at the original resolution'):
        build().process(None, [sample])


def test_names_a_class_that_does_not_exist():
    sample = make_sample([[[1]]], [0], [[[1]]], [3])
    with pytest.raises(ValueError, match='unknown category_id 3'):
        build().process(None, [sample])
