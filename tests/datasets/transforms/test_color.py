import pytest
import torch

from seg.datasets.transforms import (
    ClipColorJitter,
    ClipMotionBlur,
    ClipPhotometricDistortion,
    PseudoClip,
)


def test_jitter_changes_all_frames_alike_and_nothing_else(pattern_sample):
    results = ClipColorJitter()(pattern_sample(num_frames=2, seed=3))
    before = pattern_sample(num_frames=2)
    assert results['clip'].dtype == torch.uint8
    assert not torch.equal(results['clip'], before['clip'])
    assert torch.equal(results['clip'][0], results['clip'][1])
    assert torch.equal(results['masks'], before['masks'])


def test_jitter_of_zero_changes_nothing(pattern_sample):
    results = ClipColorJitter(0, 0, 0)(pattern_sample())
    assert torch.equal(results['clip'], pattern_sample()['clip'])


def test_jitter_refuses_nonsense():
    with pytest.raises(ValueError, match=r'ClipColorJitter.contrast'):
        ClipColorJitter(contrast=3)


def smooth_sample(pattern_sample, num_frames=1, seed=0):
    """The pattern over colours that leave room for changes in both directions."""
    results = pattern_sample(num_frames, seed)
    results['clip'] = results['clip'] // 2 + torch.tensor([60, 80, 40]).byte()[:, None, None]
    return results


@pytest.mark.parametrize('transform', [ClipPhotometricDistortion(), ClipMotionBlur(7)])
def test_all_frames_change_alike_and_segments_stay(pattern_sample, transform):
    changed = 0
    for seed in range(10):
        results = transform(smooth_sample(pattern_sample, num_frames=2, seed=seed))
        before = smooth_sample(pattern_sample, num_frames=2)
        assert results['clip'].dtype == torch.uint8
        assert results['clip'].shape == before['clip'].shape
        assert torch.equal(results['clip'][0], results['clip'][1])
        assert torch.equal(results['masks'], before['masks'])
        assert torch.equal(results['prompts'].point_coords, before['prompts'].point_coords)
        changed += not torch.equal(results['clip'], before['clip'])
    assert 2 < changed <= 10


def test_repeated_frames_change_once_and_alike(pattern_sample):
    once = ClipPhotometricDistortion(prob=1)(smooth_sample(pattern_sample, seed=4))
    repeated = PseudoClip(3)(smooth_sample(pattern_sample, seed=4))
    repeated = ClipPhotometricDistortion(prob=1)(repeated)
    assert torch.equal(repeated['clip'], once['clip'].expand(3, -1, -1, -1))


@pytest.mark.parametrize(
    ('settings', 'same'),
    [
        ({'brightness': 40, 'contrast': (1, 1), 'saturation': (1, 1), 'hue': 0}, 'difference'),
        ({'brightness': 0, 'contrast': (0.6, 1.4), 'saturation': (1, 1), 'hue': 0}, 'ratio'),
        ({'brightness': 0, 'contrast': (1, 1), 'saturation': (0.5, 0.9), 'hue': 0}, 'maximum'),
        ({'brightness': 0, 'contrast': (1, 1), 'saturation': (1, 1), 'hue': 90}, 'maximum'),
    ],
)
def test_each_change_does_what_it_says(pattern_sample, settings, same):
    before = smooth_sample(pattern_sample)['clip'].float()
    after = ClipPhotometricDistortion(**settings, prob=1)(smooth_sample(pattern_sample))['clip']
    after = after.float()
    spread = {
        'difference': (after - before).std(),
        'ratio': (after / before).std() * 100,
        'maximum': (after.amax(1) - before.amax(1)).abs().max(),
    }
    assert (after - before).abs().max() > 5
    assert spread[same] <= 1


def test_motion_blur_moves_nothing_and_keeps_the_light(pattern_sample):
    spread = []
    for seed in range(8):
        results = pattern_sample(seed=seed)
        results['clip'] = torch.zeros(1, 3, 41, 41, dtype=torch.uint8)
        results['clip'][..., 18:23, 18:23] = 200
        blurred = ClipMotionBlur(9, prob=1)(results)['clip'][0, 0].double()
        assert abs(blurred.sum() / (200 * 25) - 1) < 0.02
        y, x = torch.meshgrid(*[torch.arange(41) - 20.0] * 2, indexing='ij')
        centre = (blurred * y).sum() / blurred.sum(), (blurred * x).sum() / blurred.sum()
        assert max(map(abs, centre)) < 0.05
        spread.append(float((blurred * (x**2 + y**2)).sum() / blurred.sum()))
    assert min(spread) > 4.0 - 0.1  # of the square alone
    assert max(spread) > 6


@pytest.mark.parametrize(
    ('build', 'name'),
    [
        (lambda: ClipPhotometricDistortion(hue=200), 'hue'),
        (lambda: ClipPhotometricDistortion(contrast=(2, 1)), 'contrast'),
        (lambda: ClipPhotometricDistortion(prob=-1), 'prob'),
        (lambda: ClipMotionBlur(0), 'max_length'),
        (lambda: ClipMotionBlur(prob=3), 'prob'),
    ],
)
def test_nonsense_changes_are_refused(build, name):
    with pytest.raises(ValueError, match=name):
        build()
