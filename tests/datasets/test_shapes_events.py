import numpy as np
import pytest

from seg.datasets import ShapesDataset
from seg.datasets.shapes import ShapesWorld
from seg.datasets.shapes_events import shapes_cases
from seg.datasets.transforms import PackClip
from seg.registry import DATASETS
from seg.utils.checks import UserError

SIZE = (48, 64)


def build(**settings):
    cfg = {'type': 'ShapesEventsDataset', 'task': 'vos', 'size': SIZE, 'num_frames': 32}
    return DATASETS.build({**cfg, 'pipeline': [PackClip()], **settings})


def test_samples_are_the_first_clips_of_the_world_with_the_event():
    dataset = build(event='occlusion', num_samples=2)
    samples = [dataset[index]['data_samples'] for index in range(2)]
    world = ShapesWorld(seed=1, size=SIZE)
    found = (
        index
        for index in range(1000)
        if any(case.kind == 'occlusion' for case in shapes_cases(world, index, 32))
    )
    indices = [next(found), next(found)]
    assert [sample.img_id for sample in samples] == indices
    assert [sample.identity_cases for sample in samples] == [
        tuple(shapes_cases(world, index, 32)) for index in indices
    ]
    plain = ShapesDataset('vos', 'val', 1000, 32, size=SIZE, pipeline=[PackClip()])
    expected = plain[indices[1]]['data_samples'].gt_segments
    np.testing.assert_array_equal(samples[1].gt_segments.masks, expected.masks)


def test_cases_agree_with_the_masks():
    sample = build(event='occlusion', num_samples=1)[0]['data_samples']
    things = sample.gt_segments.masks.numpy()
    ids = sample.gt_segments.object_ids.tolist()
    for case in sample.identity_cases:
        areas = np.count_nonzero(things[ids.index(case.object_id)], axis=(1, 2))
        assert areas[0] >= 40
        assert areas[case.stop :].max() >= 40
        hidden = areas[case.start : case.stop] == 0
        if case.kind == 'reappearance':
            assert hidden.all()
            assert len(hidden) >= 10
        if case.kind == 'occlusion':
            assert any(hidden[first : first + 10].all() for first in range(len(hidden) - 9))
            assert areas[case.start - 1] > areas[case.start]


def test_settings_are_checked():
    with pytest.raises(UserError, match="mean 'crossing'"):
        build(event='crossings')
    with pytest.raises(UserError, match='num_frames: expected 24 or more, got 8'):
        build(num_frames=8)
    assert build().kinds == ('crossing', 'occlusion', 'reappearance')
