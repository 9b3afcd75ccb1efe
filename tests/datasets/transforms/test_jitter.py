import pytest
import torch

from seg.datasets.transforms import (
    ClipRandomCrop,
    ClipRandomResize,
    FrameRandomCrop,
    LargeScaleJitter,
    PseudoClip,
    PseudoClipJitter,
)

SCALE, CROP = (30, 44), (20, 26)


def assert_equal_samples(got, expected):
    assert set(got) == set(expected)
    for key in ('clip', 'masks', 'labels', 'object_ids', 'is_crowd', 'prompt_targets'):
        assert torch.equal(got[key], expected[key]), key
    for key in ('img_shape', 'scale_factor', 'ori_shape'):
        assert got[key] == expected[key], key
    for key in ('object_ids', 'frame_index', 'point_labels', 'has_mask', 'masks'):
        assert torch.equal(getattr(got['prompts'], key), getattr(expected['prompts'], key)), key
    for key in ('point_coords', 'boxes'):
        pair = getattr(got['prompts'], key), getattr(expected['prompts'], key)
        assert torch.allclose(*pair, equal_nan=True), key


@pytest.mark.parametrize('min_area', [1, 60])
def test_jitter_is_a_resize_and_a_crop(pattern_sample, min_area):
    numbers = set()
    for seed in range(40):
        got = LargeScaleJitter(SCALE, (0.3, 2.5), CROP, min_area)(pattern_sample(2, seed))
        expected = ClipRandomResize(SCALE, (0.3, 2.5))(pattern_sample(2, seed))
        expected = ClipRandomCrop(CROP, min_area)(expected)
        assert_equal_samples(got, expected)
        numbers.add(len(got['labels']))
    assert len(numbers) > 1


def test_pseudo_clip_jitter_is_resize_repeat_and_crop_per_frame(pattern_sample):
    for seed in range(40):
        got = PseudoClipJitter(3, SCALE, (0.3, 2.5), CROP)(pattern_sample(1, seed))
        expected = ClipRandomResize(SCALE, (0.3, 2.5))(pattern_sample(1, seed))
        expected = FrameRandomCrop(CROP)(PseudoClip(3)(expected))
        assert_equal_samples(got, expected)


def test_frames_of_a_pseudo_clip_differ_and_share_ids(pattern_sample, mismatch):
    both = 0
    for seed in range(20):
        results = PseudoClipJitter(2, (48, 80), (1, 1.2), (30, 50))(pattern_sample(1, seed))
        assert not torch.equal(results['clip'][0], results['clip'][1])
        assert mismatch(results) < 0.05
        assert results['object_ids'].tolist() == [7 + k for k in results['labels'].tolist()]
        both += int(results['masks'].flatten(2).any(-1).all(-1).sum())
    assert both > 5


def test_real_frames_share_the_window(pattern_sample):
    results = LargeScaleJitter((48, 80), (0.5, 2), (20, 20))(pattern_sample(3))
    assert torch.equal(results['clip'][0], results['clip'][2])
    assert torch.equal(results['masks'][:, 0], results['masks'][:, 2])


def test_nothing_to_see_is_an_empty_sample(pattern_sample):
    results = pattern_sample()
    results['masks'][:] = False
    results = LargeScaleJitter(SCALE)(results)
    assert results['masks'].shape == (0, 1, *results['img_shape'])
    assert len(results['prompts']) == 0


def test_samples_without_masks_are_resized_and_cropped(pattern_sample):
    results = pattern_sample()
    for key in ('masks', 'labels', 'object_ids', 'is_crowd', 'prompts', 'prompt_targets'):
        del results[key]
    assert LargeScaleJitter(SCALE, (1, 1))(results)['clip'].shape[-2:] == (26, 44)


@pytest.mark.parametrize(
    ('build', 'name'),
    [
        (lambda: LargeScaleJitter((0, 4)), 'LargeScaleJitter.scale'),
        (lambda: LargeScaleJitter((4, 4), (2, 1)), 'ratio_range'),
        (lambda: LargeScaleJitter((4, 4), crop_size=(3,)), 'crop_size'),
        (lambda: PseudoClipJitter(0, (4, 4)), 'num_frames'),
    ],
)
def test_nonsense_jitter_is_refused(build, name):
    with pytest.raises(ValueError, match=name):
        build()


def test_pseudo_clip_jitter_refuses_clips(pattern_sample):
    with pytest.raises(ValueError, match=r'PseudoClipJitter: expected an image .* got 3 frames'):
        PseudoClipJitter(2, (4, 4))(pattern_sample(num_frames=3))
