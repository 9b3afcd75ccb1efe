"""Phrases of classes that an image has, and of some that it has not."""

import numpy as np
import pytest
import torch

from seg.datasets.transforms import ConceptPhrases
from seg.utils.checks import UserError

WORDS = ('disc', 'star', 'ring', 'cross')


def results(labels, crowds=()):
    masks = torch.ones(len(labels), 1, 8, 8, dtype=torch.bool)
    return dict(
        clip=torch.zeros(1, 3, 8, 8, dtype=torch.uint8),
        masks=masks,
        labels=torch.tensor(labels, dtype=torch.long),
        object_ids=torch.arange(len(labels)),
        is_crowd=torch.tensor([i in crowds for i in range(len(labels))], dtype=torch.bool),
        rng=np.random.default_rng(0),
    )


def test_all_classes_in_order_without_chance():
    found = ConceptPhrases(WORDS).transform(results([2]))
    assert found['phrase_labels'] == [0, 1, 2, 3]
    assert found['prompts'].texts == WORDS


def test_present_and_absent_phrases():
    step = ConceptPhrases(WORDS, max_present=1, num_absent=2)
    for _ in range(5):
        labels = step.transform(results([0, 0, 1, 9]))['phrase_labels']
        assert labels[0] in (0, 1)
        assert sorted(labels[1:]) == [2, 3]


def test_some_classes_alone_are_asked_for():
    assert ConceptPhrases(WORDS, labels=(3, 1)).transform(results([2]))['phrase_labels'] == [3, 1]
    step = ConceptPhrases(WORDS, num_absent=1, labels=(0, 3))
    for _ in range(5):
        assert step.transform(results([1, 2, 3]))['phrase_labels'] == [3, 0]
    with pytest.raises(UserError, match=r'ConceptPhrases\.labels: expected classes'):
        ConceptPhrases(WORDS, labels=(4,))


def test_an_image_without_objects_gets_one_phrase():
    step = ConceptPhrases(WORDS, num_absent=0)
    assert len(step.transform(results([]))['phrase_labels']) == 1
    assert len(step.transform(results([3], crowds=[0]))['phrase_labels']) == 1


@pytest.mark.parametrize('settings', [dict(phrases=[]), dict(phrases=['a', ' '])])
def test_phrases_that_say_nothing(settings):
    with pytest.raises(UserError, match=r'ConceptPhrases\.phrases'):
        ConceptPhrases(**settings)
    with pytest.raises(UserError, match='max_present >= 1'):
        ConceptPhrases(WORDS, max_present=0)
