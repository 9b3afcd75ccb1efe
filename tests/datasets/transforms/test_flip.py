from dataclasses import replace

import numpy as np
import pytest
import torch

from seg.datasets.shapes.expressions import Description, NamedThing
from seg.datasets.transforms import ClipFlip
from seg.datasets.transforms.flip import mirror_words


def test_flip_moves_pixels_masks_and_prompts_together(pattern_sample, mismatch):
    before = pattern_sample(num_frames=2)
    results = ClipFlip(prob=1.0)(pattern_sample(num_frames=2))
    assert torch.equal(results['clip'], before['clip'].flip(-1))
    assert mismatch(results) == 0
    assert results['flip'] is True
    assert results['prompts'].point_coords[:, 0].tolist() == [[36.5, 2.5], [19.5, 12.5]]
    assert results['prompts'].boxes[1].tolist() == [4.0, 12.0, 20.0, 22.0]
    assert torch.isnan(results['prompts'].boxes[0]).all()
    assert torch.equal(results['prompts'].masks.bool(), results['masks'][:2, 0])


def test_flip_with_probability_zero_changes_nothing(pattern_sample):
    results = ClipFlip(prob=0.0)(pattern_sample())
    assert torch.equal(results['clip'], pattern_sample()['clip'])
    assert results['flip'] is False


def test_flip_draws_from_the_samples_generator(pattern_sample):
    flips = [ClipFlip()(pattern_sample(seed=seed))['flip'] for seed in range(40)]
    assert 8 < sum(flips) < 32
    assert flips == [ClipFlip()(pattern_sample(seed=seed))['flip'] for seed in range(40)]


def test_flip_without_generator_says_how_to_get_one(pattern_sample):
    results = pattern_sample()
    del results['rng']
    with pytest.raises(ValueError, match=r'rng: expected a numpy Generator .*ClipDataset'):
        ClipFlip()(results)


@pytest.mark.parametrize('prob', [-0.1, 1.5])
def test_flip_refuses_what_is_no_probability(prob):
    with pytest.raises(ValueError, match=r'ClipFlip.prob'):
        ClipFlip(prob)


def test_flip_mirrors_what_is_said(pattern_sample):
    results = pattern_sample()
    results['expressions'] = ['the leftmost square', None, 'right of it']
    results['prompts'] = replace(results['prompts'], texts=('left of the bright ball', None))
    flipped = ClipFlip(prob=1.0)(results)
    assert flipped['expressions'] == ['the rightmost square', None, 'left of it']
    assert flipped['prompts'].texts == ('right of the bright ball', None)


@pytest.mark.parametrize(
    ('text', 'mirrored'),
    [
        ('left right', 'right left'),
        ('Leftmost of the RIGHT', 'Rightmost of the Left'),
        ('left-hand side', 'right-hand side'),
        ('upright bright leftover', 'upright bright leftover'),
        ('', ''),
    ],
)
def test_whole_words_are_mirrored(text, mirrored):
    assert mirror_words(text) == mirrored


def test_mirrored_expressions_of_shapes_are_those_of_the_mirrored_things():
    for seed in range(40):
        rng = np.random.default_rng(seed)
        things = [
            NamedThing(str(noun), 'red', 14.0, *rng.uniform(10, 110, 2).tolist())
            for noun in rng.choice(['disc', 'star'], 4)
        ]
        turned = [thing._replace(x=120 - thing.x) for thing in things]
        for place in ('leftmost', 'rightmost', 'topmost'):
            for index in range(4):
                said = Description('disc', place=place)
                mirrored = Description('disc', place=mirror_words(place))
                assert said.names(index, things) is mirrored.names(index, turned)
