"""Scores of the report card for videos, on real clips of Shapes and hand-made predictions."""

import pytest
import torch

from seg.apis.report.video_baselines import copy_first_masks, repeat_first_frame, tubes_of
from seg.apis.report.video_scores import (
    identity_scores,
    interactive_video_scores,
    video_panoptic_scores,
    vis_scores,
    vos_scores,
)
from seg.datasets import ShapesDataset
from seg.datasets.transforms import AppearingMaskPrompts, PackClip
from seg.evaluation.functional.identity import IdentityCase
from seg.evaluation.metrics import DavisMetric
from seg.registry import MODELS
from seg.structures import ClipSample, PanopticData, Segment, TrackData
from seg.testing.tiny_rapsam import tiny_video_cfg
from seg.utils.checks import UserError

SIZE = (64, 64)


@pytest.fixture(scope='module')
def dataset():
    pipeline = [AppearingMaskPrompts(min_area=20, num_things=8), PackClip()]
    return ShapesDataset('vos', 'val', 2, 6, size=SIZE, pipeline=pipeline)


def truths(dataset, *, forget_at=None):
    """Samples with the truth as every kind of prediction, empty from a frame on."""
    for index in range(len(dataset)):
        sample = dataset[index]['data_samples']
        masks, ids = sample.gt_segments.masks.clone(), sample.gt_segments.object_ids
        masks[:, forget_at:] &= forget_at is None
        id_maps = (masks * ids[:, None, None, None]).amax(dim=0).int()
        sample.pred_tracks = TrackData(id_maps, tuple(ids.tolist()))
        shown = set(id_maps.unique().tolist())
        labels = zip(ids.tolist(), sample.gt_segments.labels.tolist(), strict=True)
        sample.pred_panoptic = PanopticData(
            id_maps, [Segment(i, label, label < 8, 1.0) for i, label in labels if i in shown]
        )
        sample.pred_tubes = tubes_of(sample.pred_panoptic)
        yield sample


def test_the_truth_scores_one_hundred_everywhere(dataset):
    meta = dataset.metainfo
    assert vos_scores(truths(dataset)) == {'J&F': 100, 'J': 100, 'F': 100}
    runs = [truths(dataset) for _ in range(3)]
    assert interactive_video_scores(*runs) == {
        'J&F@1click': 100,
        'J&F_corrected': 100,
        'text_J&F': 100,
    }
    assert vis_scores(truths(dataset), meta) == {'AP': pytest.approx(100)}
    assert video_panoptic_scores(truths(dataset), meta) == pytest.approx({'VPQ': 100, 'STQ': 100})


def test_what_is_forgotten_costs(dataset):
    meta = dataset.metainfo
    scores = vos_scores(truths(dataset), truths(dataset, forget_at=3))
    assert scores['J&F'] == 100
    assert scores['J&F_no_memory'] < 80
    assert vis_scores(truths(dataset, forget_at=3), meta)['AP'] < 60
    panoptic = video_panoptic_scores(truths(dataset, forget_at=3), meta)
    assert panoptic['VPQ'] < 80
    assert panoptic['STQ'] < 80


def test_runs_that_were_not_made_are_left_out(dataset):
    assert interactive_video_scores(truths(dataset)).keys() == {'J&F@1click'}


def test_survival_of_ids(dataset):
    def with_cases():
        for sample in truths(dataset):
            areas = sample.gt_segments.masks[:, -1].sum(dim=(1, 2))
            object_id = int(sample.gt_segments.object_ids[areas.argmax()])
            sample.set_metainfo({'identity_cases': (IdentityCase(object_id, 'crossing', 2, 4),)})
            yield sample

    scores = identity_scores(with_cases())
    assert (scores['survival'], scores['num_cases']) == (100, 2)


def test_copying_the_first_mask_scores_below_the_truth_and_above_nothing(dataset):
    def copies():
        for sample in truths(dataset):
            sample.pred_tracks = copy_first_masks(sample)
            yield sample

    assert 5 < vos_scores(copies())['J&F'] < 95


def test_copies_begin_where_objects_appear(dataset):
    sample = dataset[0]['data_samples']
    sample.gt_segments.masks[:, :2] = False
    results = {
        **{key: sample.gt_segments[key] for key in ('masks', 'labels', 'object_ids', 'is_crowd')},
        'clip': torch.zeros(6, 3, *SIZE, dtype=torch.uint8),
        'task': 'vos',
    }
    late = PackClip()(AppearingMaskPrompts(num_things=8)(results))['data_samples']
    tracks = copy_first_masks(late)
    assert not tracks.id_maps[:2].any()
    for frame in tracks.id_maps[3:]:
        assert torch.equal(frame[tracks.id_maps[2] > 0], tracks.id_maps[2][tracks.id_maps[2] > 0])
    with pytest.raises(UserError, match='AppearingMaskPrompts'):
        copy_first_masks(ClipSample())


def test_a_map_is_repeated():
    one = PanopticData(torch.ones(1, 2, 3, dtype=torch.int32), [Segment(1, 0, True, 0.5)])
    assert repeat_first_frame(one, 4).segment_map.shape == (4, 2, 3)
    assert [tube.label for tube in tubes_of(repeat_first_frame(one, 4))] == [0]
    with pytest.raises(UserError, match=r'expected the map of one frame'):
        repeat_first_frame(repeat_first_frame(one, 2), 2)


def test_a_model_with_a_memory_is_scored(dataset):
    """What a network writes for whole clips is what the metric reads."""
    torch.manual_seed(0)
    model = MODELS.build(tiny_video_cfg()).eval()
    metric = DavisMetric()
    packed = dataset[0]
    with torch.no_grad():
        batch = {'inputs': [packed['inputs']], 'data_samples': [packed['data_samples']]}
        (sample,) = model.test_step(batch)
    metric.process(None, [sample.to_dict()])
    assert 0 <= metric.evaluate(1)['davis/J&F'] <= 100
