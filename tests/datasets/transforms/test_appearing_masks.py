import numpy as np
import pytest
import torch

from seg.datasets.transforms import (
    AppearingMaskPrompts,
    AppearingPrompts,
    PackClip,
    TestResize,
)
from seg.registry import TRANSFORMS
from seg.utils.checks import UserError


def make_results(**changes):
    """Five segments on four frames: late, early, crowd, never seen, stuff."""
    masks = torch.zeros(5, 4, 8, 10, dtype=torch.bool)
    masks[0, 2, :2, :2] = masks[0, 3, :4, :4] = True
    masks[1, :, 5:7] = True
    masks[2] = True
    masks[4, :, 7:] = True
    return {
        'clip': torch.zeros(4, 3, 8, 10, dtype=torch.uint8),
        'masks': masks,
        'labels': torch.tensor([0, 1, 1, 0, 5]),
        'object_ids': torch.tensor([11, 12, 13, 14, 15]),
        'is_crowd': torch.tensor([False, False, True, False, False]),
        'img_id': 'clip',
        'ori_shape': (8, 10),
        'img_shape': (8, 10),
        'scale_factor': (1.0, 1.0),
        'task': 'vos',
        **changes,
    }


def test_objects_are_given_when_they_appear():
    results = AppearingMaskPrompts(num_things=2)(make_results())
    prompts = results['prompts']
    assert prompts.object_ids.tolist() == [12, 11]
    assert prompts.frame_index.tolist() == [0, 2]
    assert results['prompt_targets'].tolist() == [1, 0]
    assert prompts.has_mask.all()
    np.testing.assert_array_equal(prompts.masks[1].bool(), results['masks'][0, 2])


def test_stuff_is_an_object_unless_told_otherwise():
    results = AppearingMaskPrompts()(make_results(labels=torch.full((5,), -1)))
    assert results['prompts'].object_ids.tolist() == [12, 15, 11]


def test_an_object_is_waited_for_until_it_is_large_enough():
    results = AppearingMaskPrompts(min_area=10, num_things=2)(make_results())
    assert results['prompts'].frame_index.tolist() == [0, 3]
    assert results['prompts'].object_ids.tolist() == [12, 11]
    results = AppearingMaskPrompts(min_area=17, num_things=2)(make_results())
    assert results['prompts'].object_ids.tolist() == [12]


def test_frames_without_annotations_give_nothing():
    results = AppearingMaskPrompts(num_things=2)(make_results(annotated_frames=(1, 3)))
    assert results['prompts'].frame_index.tolist() == [1, 3]


def test_masks_go_with_the_clip_through_a_pipeline():
    steps = [{'type': 'AppearingMaskPrompts'}, TestResize(scale=(16, 20)), PackClip()]
    results = make_results()
    for step in steps:
        results = (TRANSFORMS.build(step) if isinstance(step, dict) else step)(results)
    sample = results['data_samples']
    assert sample.prompts.masks.shape == (3, 16, 20)
    assert sample.gt_segments.masks.shape[2:] == (8, 10)
    assert sample.prompt_targets.tolist() == [1, 4, 0]


def test_a_clip_without_objects_has_no_prompts():
    results = make_results(is_crowd=torch.ones(5, dtype=torch.bool))
    assert len(AppearingMaskPrompts()(results)['prompts']) == 0


def test_settings_are_checked():
    with pytest.raises(UserError, match='min_area >= 1, got 0'):
        AppearingMaskPrompts(min_area=0)


@pytest.mark.parametrize('kind', ['click', 'box', 'text'])
def test_objects_are_pointed_at_when_they_appear(kind):
    words = ['the star', 'the disc', None, None, None]
    results = AppearingPrompts(kind, num_things=2)(make_results(expressions=words))
    prompts = results['prompts']
    assert set(results['prompt_kinds']) == {kind}
    if kind == 'text':  # expressions speak about the first frame
        assert (prompts.object_ids.tolist(), prompts.texts) == ([12], ('the disc',))
        return
    assert prompts.object_ids.tolist() == [12, 11]
    assert prompts.frame_index.tolist() == [0, 2]
    if kind == 'box':
        assert prompts.boxes.tolist() == [[0, 5, 10, 7], [0, 0, 2, 2]]
        return
    for target, frame, (x, y) in zip([1, 0], [0, 2], prompts.point_coords[:, 0], strict=True):
        assert results['masks'][target, frame, int(y), int(x)]


def test_pointing_settings_are_checked():
    with pytest.raises(UserError, match="'mask'"):
        AppearingPrompts('mask')
    with pytest.raises(UserError, match='min_area >= 1, got 0'):
        AppearingPrompts(min_area=0)
