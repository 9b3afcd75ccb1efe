import pytest
import torch

from seg.datasets.transforms import ClipColorJitter


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
