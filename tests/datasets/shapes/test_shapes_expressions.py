"""Expressions are resolved here by a reader of their own, from pixels and drawn facts."""

import numpy as np
import pytest

from seg.datasets.shapes import SHAPES_THINGS, SHAPES_VOCABULARY, ShapesWorld
from seg.datasets.shapes.expressions import Description, NamedThing

PLACES = {
    'leftmost': lambda thing: thing['x'],
    'rightmost': lambda thing: -thing['x'],
    'topmost': lambda thing: thing['y'],
    'bottommost': lambda thing: -thing['y'],
}
RELATIONS = {
    'left of': lambda thing, other: thing['x'] < other['x'],
    'right of': lambda thing, other: thing['x'] > other['x'],
    'above': lambda thing, other: thing['y'] < other['y'],
    'below': lambda thing, other: thing['y'] > other['y'],
}


def things_of(sample):
    """What the pixels of frame 0 say about each thing."""
    things = []
    for index in np.flatnonzero(sample.is_thing):
        rows, columns = np.nonzero(sample.segment_map[0] == index + 1)
        things.append(
            {
                'index': index,
                'class': SHAPES_THINGS[sample.labels[index]],
                'color': sample.colors[index],
                'radius': sample.radii[index],
                'x': columns.mean(),
                'y': rows.mean(),
            }
        )
    return things


def resolve(expression, things):
    """Every thing that an expression may mean."""
    for relation, holds in RELATIONS.items():
        head, _, tail = expression.partition(f' {relation} ')
        if tail:
            (landmark,) = resolve(tail, things)
            return [t for t in resolve(head, things) if t is not landmark and holds(t, landmark)]
    *words, noun = expression.removeprefix('the ').split()
    found = [t for t in things if noun in ('shape', t['class'])]
    for word in reversed(words):
        if word in PLACES:
            found = [min(found, key=PLACES[word])]
        elif word in ('small', 'large'):
            found = [
                t for t in found if (t['radius'] < 12 if word == 'small' else t['radius'] > 18)
            ]
        else:
            found = [t for t in found if t['color'] == word]
    return found


@pytest.fixture(scope='module')
def samples():
    world = ShapesWorld(seed=7)
    return [world.annotations(index, 1) for index in range(150)]


def test_each_expression_names_exactly_its_thing(samples):
    for sample in samples:
        things = things_of(sample)
        for thing in things:
            words = sample.expressions[thing['index']]
            if words is not None:
                assert resolve(words, things) == [thing], words


def test_stuff_has_no_expression(samples):
    for sample in samples:
        named = [words is not None for words in sample.expressions]
        assert not np.array(named)[~sample.is_thing].any()


def test_words_are_those_of_the_vocabulary(samples):
    used = {w for s in samples for words in s.expressions if words for w in words.split()}
    assert used <= set(SHAPES_VOCABULARY)
    assert list(SHAPES_VOCABULARY) == sorted(set(SHAPES_VOCABULARY))


def test_all_kinds_of_expressions_occur(samples):
    text = ' | '.join(words for s in samples for words in s.expressions if words)
    for part in ('shape', 'small', 'large', *PLACES, *RELATIONS):
        assert f' {part} ' in f'{text} ', part


def test_things_that_frame_0_does_not_show_have_no_expression():
    world = ShapesWorld()
    absent = 0
    for index in range(12):
        sample = world.annotations(index, 12)
        hidden = sample.visible_areas[:, 0] == 0
        absent += hidden.sum()
        assert all(sample.expressions[k] is None for k in np.flatnonzero(hidden))
    assert absent > 0


def thing(noun='disc', color='red', radius=14.0, x=50.0, y=50.0):
    return NamedThing(noun, color, radius, x, y)


def test_a_nearly_small_rival_keeps_small_from_being_used():
    small = Description('disc', size='small')
    assert small.names(0, [thing(radius=9), thing(radius=20)])
    assert not small.names(0, [thing(radius=9), thing(radius=12.5)])
    assert not small.names(0, [thing(radius=11.5), thing(radius=20)])


def test_a_place_needs_a_margin_and_rivals():
    leftmost = Description('disc', place='leftmost')
    assert leftmost.names(0, [thing(x=20), thing(x=60)])
    assert not leftmost.names(0, [thing(x=57), thing(x=60)])
    assert not leftmost.names(0, [thing(x=20), thing('star', x=60)])


def test_a_landmark_has_to_be_unique():
    beside = Description('disc', relation='left of', landmark=Description('ring'))
    ring = thing('ring', x=90)
    assert beside.names(0, [thing(x=20), ring])
    assert not beside.names(0, [thing(x=20), ring, thing('ring', x=120)])
    assert not beside.names(0, [thing(x=120), ring])
