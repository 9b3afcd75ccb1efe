import numpy as np
import pytest
import torch

from seg.datasets.transforms import InteriorClickPrompts, RandomClickPrompts, TestResize


def clicked_pixels(results):
    frames = results['prompts'].frame_index.tolist()
    coords = results['prompts'].point_coords[:, 0].tolist()
    return [(frame, int(y), int(x)) for frame, (x, y) in zip(frames, coords, strict=True)]


def test_random_clicks_fall_into_their_segments(pattern_sample):
    for seed in range(10):
        results = RandomClickPrompts()(pattern_sample(seed=seed))
        targets = results['prompt_targets'].tolist()
        assert sorted(targets) == [0, 1]  # the crowd is not clicked
        assert results['prompts'].object_ids.tolist() == [[7, 8][target] for target in targets]
        for target, pixel in zip(targets, clicked_pixels(results), strict=True):
            assert results['masks'][target][pixel]


def test_random_clicks_reach_every_pixel_evenly(pattern_sample):
    results = pattern_sample()
    results['masks'][:] = False
    results['masks'][0, 0, 3, [4, 9, 30]] = True
    counts = {}
    for seed in range(600):
        results['rng'] = np.random.default_rng(seed)
        pixel = clicked_pixels(RandomClickPrompts()(results))[0]
        counts[pixel] = counts.get(pixel, 0) + 1
    assert set(counts) == {(0, 3, 4), (0, 3, 9), (0, 3, 30)}
    assert min(counts.values()) > 150


def test_random_clicks_are_limited_and_can_repeat(pattern_sample):
    assert len(RandomClickPrompts(num_prompts=1)(pattern_sample())['prompts']) == 1
    results = RandomClickPrompts(num_prompts=5, repeat=True)(pattern_sample())
    assert sorted(np.bincount(results['prompt_targets']).tolist()) == [2, 3]


def test_clicks_are_on_the_first_visible_frame(pattern_sample):
    results = pattern_sample(num_frames=3)
    results['masks'][1, 0] = False
    results = InteriorClickPrompts()(results)
    assert results['prompts'].frame_index.tolist() == [0, 1]


@pytest.mark.parametrize('transform', [RandomClickPrompts(repeat=True), InteriorClickPrompts()])
def test_a_sample_without_usable_segments_gets_no_prompts(pattern_sample, transform):
    results = pattern_sample()
    results['masks'][:2] = False
    results = transform(results)
    assert results['prompts'].point_coords.shape == (0, 1, 2)
    assert results['prompt_targets'].shape == (0,)
    assert results['prompt_targets'].dtype == torch.int64


def test_interior_clicks_are_deepest_and_deterministic(pattern_sample):
    results = InteriorClickPrompts()(pattern_sample(seed=1))
    again = InteriorClickPrompts()(pattern_sample(seed=2))
    assert torch.equal(results['prompts'].point_coords, again['prompts'].point_coords)
    for target, (_, y, x) in enumerate(clicked_pixels(results)):
        rows, columns = torch.nonzero(results['masks'][target, 0], as_tuple=True)
        depth = min(
            y - rows.min() + 1, rows.max() - y + 1, x - columns.min() + 1, columns.max() - x + 1
        )
        assert depth == min(rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) // 2


def test_clicking_after_test_resize_is_refused(pattern_sample):
    results = TestResize((48, 80))(pattern_sample())
    with pytest.raises(ValueError, match='put it before TestResize'):
        InteriorClickPrompts()(results)


def test_no_prompts_are_refused():
    with pytest.raises(ValueError, match='num_prompts'):
        RandomClickPrompts(num_prompts=0)
