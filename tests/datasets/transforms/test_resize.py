import pytest
import torch
from torch.nn import functional as F

from seg.datasets.transforms import ClipRandomResize, ClipResize, TestResize
from seg.datasets.transforms.resize import fit_size, resize_masks


@pytest.mark.parametrize(
    ('size', 'scale', 'expected'),
    [
        ((480, 640), (800, 1333), (800, 1067)),
        ((640, 480), (800, 1333), (1067, 800)),
        ((427, 640), (800, 1333), (800, 1199)),
        ((100, 1000), (800, 1333), (133, 1333)),
        ((1, 5000), (8, 16), (1, 16)),
    ],
)
def test_fit_size_keeps_the_ratio_in_both_orientations(size, scale, expected):
    assert fit_size(size, scale, keep_ratio=True) == expected


def test_fit_size_without_ratio_is_the_scale():
    assert fit_size((10, 20), (7, 9), keep_ratio=False) == (7, 9)


@pytest.mark.parametrize('size', [(24, 40), (32, 64), (8, 16), (72, 56), (48, 80)])
def test_masks_are_resized_as_nearest_exact(size):
    masks = torch.rand(3, 2, 24, 40) > 0.5
    expected = F.interpolate(masks.byte(), size, mode='nearest-exact').bool()
    assert torch.equal(resize_masks(masks, size), expected)


def test_no_masks_can_be_resized():
    assert resize_masks(torch.zeros(0, 1, 4, 4, dtype=torch.bool), (8, 8)).shape == (0, 1, 8, 8)


def test_doubling_moves_everything_together(pattern_sample, mismatch):
    results = ClipResize((48, 80))(pattern_sample())
    assert results['clip'].shape == (1, 3, 48, 80)
    assert mismatch(results) < 0.01  # the clip is smoothed at the edges
    assert results['prompts'].point_coords[:, 0].tolist() == [[7.0, 5.0], [41.0, 25.0]]
    assert results['prompts'].boxes[1].tolist() == [40.0, 24.0, 72.0, 44.0]
    assert results['prompts'].masks.shape == (2, 48, 80)
    assert results['img_shape'] == (48, 80)
    assert results['scale_factor'] == (2.0, 2.0)


def test_frames_of_a_clip_stay_in_step(pattern_sample, mismatch):
    results = ClipResize((37, 61), keep_ratio=False)(pattern_sample(num_frames=3))
    assert results['masks'].shape == (3, 3, 37, 61)
    assert mismatch(results) < 0.03
    assert torch.equal(results['clip'][0], results['clip'][2])


def test_test_resize_leaves_the_ground_truth_alone(pattern_sample):
    results = TestResize((48, 80))(pattern_sample())
    assert results['clip'].shape[-2:] == (48, 80)
    assert torch.equal(results['masks'], pattern_sample()['masks'])
    assert results['ori_shape'] == (24, 40)
    assert results['prompts'].point_coords[0].tolist() == [[7.0, 5.0]]


def test_random_resize_stays_in_its_range(pattern_sample, mismatch):
    heights = set()
    for seed in range(20):
        results = ClipRandomResize((24, 40), (0.5, 2.0))(pattern_sample(seed=seed))
        height, width = results['clip'].shape[-2:]
        assert 12 <= height <= 48
        assert abs(width / height - 40 / 24) < 0.1
        assert mismatch(results) < 0.05
        heights.add(height)
    assert len(heights) > 10


def test_resize_after_test_resize_is_refused(pattern_sample):
    results = TestResize((48, 80))(pattern_sample())
    with pytest.raises(ValueError, match='put it before TestResize'):
        ClipResize((24, 40))(results)


@pytest.mark.parametrize(
    'build',
    [
        lambda: ClipResize((0, 40)),
        lambda: TestResize((40,)),
        lambda: ClipRandomResize((24, 40), (0.0, 1.0)),
        lambda: ClipRandomResize((24, 40), (2.0, 1.0)),
    ],
)
def test_nonsense_settings_are_refused(build):
    with pytest.raises(ValueError, match=r'(scale|ratio_range): expected'):
        build()
