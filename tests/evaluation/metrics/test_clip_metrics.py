"""VPQ and STQ through the evaluator: what they read, how ranks are gathered, what is refused."""

import math

import pytest
import torch
from mmengine.structures import InstanceData

from seg.evaluation.functional.vpq import vpq_stats, vpq_summary
from seg.registry import METRICS
from seg.structures import ClipSample, PanopticData, Segment
from seg.testing.processes import in_processes
from seg.utils.checks import UserError

META = {'classes': ('cat', 'dog', 'sky'), 'num_things': 2}
CONSTANT = [[[1, 1, 2, 3]]] * 4
SWAPPED = [[[1, 1, 2, 3]]] * 2 + [[[2, 2, 1, 3]]] * 2
LABELS = [0, 0, 2]


def make_sample(gt_map, pred_map, labels=LABELS, img_id=1, **meta):
    """A clip from id maps (T, H, W) whose ids 1..N have the given labels."""
    gt_map, pred_map = torch.tensor(gt_map), torch.tensor(pred_map, dtype=torch.int32)
    sample = ClipSample(metainfo={'img_id': img_id, **meta})
    sample.gt_segments = InstanceData(
        masks=torch.stack([gt_map == i + 1 for i in range(len(labels))]),
        labels=torch.tensor(labels),
        object_ids=torch.arange(1, len(labels) + 1),
        is_crowd=torch.zeros(len(labels), dtype=torch.bool),
    )
    shown = set(pred_map.unique().tolist())
    segments = [
        Segment(i, label, label < 2, 0.5) for i, label in enumerate(labels, 1) if i in shown
    ]
    sample.pred_panoptic = PanopticData(pred_map, segments)
    return sample.to_dict()


def build(name, **settings):
    metric = METRICS.build({'type': name, **settings})
    metric.dataset_meta = META
    return metric


def evaluate(name, samples, **settings):
    metric = build(name, **settings)
    metric.process(None, samples)
    return metric.evaluate(len(samples))


def test_perfect_clips_score_one_hundred():
    samples = [make_sample(CONSTANT, CONSTANT), make_sample(SWAPPED, SWAPPED, img_id=2)]
    scores = evaluate('VpqMetric', samples)
    names = ('VPQ', 'VPQ_th', 'VPQ_st', 'VPQ@1', 'VPQ@2', 'VPQ@4', 'VPQ@6')
    assert scores == {f'vpq/{name}': 100 for name in names}
    assert evaluate('StqMetric', samples) == {'stq/STQ': 100, 'stq/AQ': 100, 'stq/SQ': 100}


def test_a_swap_of_identities_costs():
    swap = [make_sample(CONSTANT, SWAPPED)]
    vpq, stq = evaluate('VpqMetric', swap), evaluate('StqMetric', swap)
    assert vpq['vpq/VPQ@1'] == vpq['vpq/VPQ_st'] == 100
    assert vpq['vpq/VPQ@1'] > vpq['vpq/VPQ@2'] > vpq['vpq/VPQ@4'] == vpq['vpq/VPQ@6'] == 50
    assert stq['stq/SQ'] == 100
    # cat 1: 4 of 8 pixels with a track of 6, and 4 with the other one of 6; cat 2 alike.
    assert stq['stq/AQ'] == pytest.approx(100 * (2 * 4 * 4 / 10 / 8 + 2 * 2 * 2 / 8 / 4) / 2)


def test_the_mean_over_windows_is_that_of_the_functions():
    scores = evaluate('VpqMetric', [make_sample(CONSTANT, SWAPPED)], windows=(1, 3))
    listed = [{'id': i, 'category_id': label} for i, label in enumerate(LABELS, 1)]
    maps = [torch.tensor(ids).numpy() for ids in (SWAPPED, CONSTANT)]
    stats = vpq_stats(maps[0], listed, maps[1], listed, windows=(1, 3))
    summary = vpq_summary(stats, {0: True, 1: True, 2: False})
    assert scores['vpq/VPQ'] == pytest.approx(100 * summary['All']['vpq'])
    assert scores['vpq/VPQ@3'] == pytest.approx(100 * summary['All']['3'])


def test_frames_without_annotations_do_not_count():
    blank = [[[0, 0, 0, 0]]]
    truth = CONSTANT[:1] + blank * 2 + CONSTANT[:1]
    wild = CONSTANT[:1] + [[[3, 2, 1, 1]]] * 2 + CONSTANT[:1]
    assert evaluate('StqMetric', [make_sample(truth, wild)])['stq/STQ'] < 100
    sample = make_sample(truth, wild, annotated_frames=(0, 3))
    assert evaluate('StqMetric', [sample])['stq/STQ'] == 100
    assert evaluate('VpqMetric', [sample])['vpq/VPQ'] == 100


def test_a_segment_of_frames_without_annotations_only_is_left_out():
    truth = [[[1, 1]], [[0, 0]]]
    found = [[[1, 1]], [[1, 2]]]
    sample = make_sample(truth, found, labels=[0, 1], annotated_frames=(0,))
    assert evaluate('VpqMetric', [sample])['vpq/VPQ'] == 100


def test_classes_that_a_data_set_lacks_are_not_averaged_over():
    sample = make_sample([[[1, 1, 1]]], [[[1, 1, 2]]], labels=[0, 1])
    assert evaluate('VpqMetric', [sample])['vpq/VPQ'] == pytest.approx(100 / 3)
    sample['annotated_classes'] = (0,)
    assert evaluate('VpqMetric', [sample])['vpq/VPQ'] == pytest.approx(200 / 3)


def test_without_things_there_is_no_association():
    stuff = [[[1, 1]]]
    assert math.isnan(evaluate('StqMetric', [make_sample(stuff, stuff, labels=[2])])['stq/AQ'])


@pytest.mark.parametrize('name', ['VpqMetric', 'StqMetric'])
def test_missing_maps_are_named(name):
    sample = make_sample(CONSTANT, CONSTANT, img_id='street')
    with pytest.raises(UserError, match=r'clip street: pred_panoptic: .* 4 frames, got 3'):
        build(name).process(None, [make_sample(CONSTANT, CONSTANT[:3], img_id='street')])
    del sample['pred_panoptic']
    with pytest.raises(UserError, match=r"clip street: expected 'pred_panoptic'"):
        build(name).process(None, [sample])
    with pytest.raises(UserError, match=f'{name}: expected at least one clip, got none'):
        build(name).evaluate(0)


def test_true_masks_may_not_overlap():
    sample = make_sample(CONSTANT, CONSTANT)
    sample['gt_segments']['masks'][1] = True
    with pytest.raises(UserError, match='clip 1: gt_segments: expected exclusive masks'):
        build('VpqMetric').process(None, [sample])


def test_windows_are_checked():
    with pytest.raises(UserError, match='windows'):
        build('VpqMetric', windows=())


def _on_a_rank(rank):
    """Rank 0 sees three clips, rank 1 one of them again and a bad one."""
    torch.distributed.init_process_group('gloo')
    metric = build('StqMetric')
    clips = [make_sample(CONSTANT, CONSTANT, img_id=i) for i in range(3)]
    bad = make_sample(CONSTANT, SWAPPED, img_id=3)
    metric.process(None, [clips[2], bad] if rank else clips)
    return metric.evaluate(4)


def test_uneven_ranks_are_gathered_whole_and_repeated_clips_count_once():
    samples = [make_sample(CONSTANT, CONSTANT, img_id=i) for i in range(3)]
    expected = evaluate('StqMetric', [*samples, make_sample(CONSTANT, SWAPPED, img_id=3)])
    for scores in in_processes(_on_a_rank):
        assert scores == pytest.approx(expected)
