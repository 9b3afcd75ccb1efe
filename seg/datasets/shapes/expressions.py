"""Expressions that name one thing of an image by class, colour, size, position or relation.

Every expression reads ``the [place] [size] [colour] noun [relation the [colour] noun]``. One is
only used if it clearly holds for its thing and clearly fails for all others: what is nearly small,
or nearly left of something, keeps an expression with these words from being used.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from seg.datasets.shapes.palette import COLOR_NAMES, SHAPES_THINGS

ANY_THING = 'shape'
SIZES = ('small', 'large')
PLACES = ('leftmost', 'rightmost', 'topmost', 'bottommost')
RELATIONS = ('left of', 'right of', 'above', 'below')

SHAPES_VOCABULARY: tuple[str, ...] = tuple(
    sorted(
        {'the', ANY_THING, *SIZES, *PLACES, *COLOR_NAMES, *SHAPES_THINGS}
        | {word for relation in RELATIONS for word in relation.split()}
    )
)
"""Every word that an expression can contain."""

# Radii and distances for frames of the reference height.
_SMALL_SURELY, _SMALL_PERHAPS = 11.0, 13.0
_LARGE_SURELY, _LARGE_PERHAPS = 19.0, 16.5
RELATION_TRIES = 8
_PLACE_MARGIN = 5.0
_RELATION_MARGIN = 8.0

_FORMS = tuple(
    (noun, colored, extra)
    for extra in ('', 'size', 'place', 'relation')
    for noun in ('class', ANY_THING)
    for colored in (False, True)
    if noun == 'class' or colored or extra == 'place'
)


class NamedThing(NamedTuple):
    """What expressions speak about.

    Attributes:
        noun: Class of the thing.
        color: Name of its colour.
        radius: Its size over the scale of lengths of the frame.
        x: Middle of its visible pixels from the left, over the scale of lengths.
        y: Middle of its visible pixels from the top, over the scale of lengths.
    """

    noun: str
    color: str
    radius: float
    x: float
    y: float


@dataclass(frozen=True)
class Description:
    """The parts of one expression; empty parts are left out.

    Attributes:
        noun: A class, or ``'shape'`` for any.
        color: Name of a colour.
        size: ``'small'`` or ``'large'``.
        place: The outermost of all that the rest describes.
        relation: Where the thing lies as seen from the landmark.
        landmark: Description of another thing.
    """

    noun: str
    color: str = ''
    size: str = ''
    place: str = ''
    relation: str = ''
    landmark: Description | None = None

    def words(self) -> str:
        """The expression."""
        parts = ['the', self.place, self.size, self.color, self.noun]
        if self.landmark is not None:
            parts += [self.relation, self.landmark.words()]
        return ' '.join(part for part in parts if part)

    def names(self, index: int, things: Sequence[NamedThing]) -> bool:
        """Whether it names one thing of several, clearly and alone."""
        landmark = self._find_landmark(index, things)
        if (self.landmark is not None and landmark is None) or not self._surely_fits(
            things[index], landmark
        ):
            return False
        rivals = [t for i, t in enumerate(things) if i != index and self._may_fit(t, landmark)]
        if not self.place:
            return not rivals
        axis, sign = divmod(PLACES.index(self.place), 2)
        outwards = [(t.x, t.y)[axis] * (1 if sign else -1) for t in (things[index], *rivals)]
        return len(rivals) > 0 and outwards[0] >= max(outwards[1:]) + _PLACE_MARGIN

    def _find_landmark(self, index: int, things: Sequence[NamedThing]) -> NamedThing | None:
        """The only other thing that the landmark's description fits, if it is the only one."""
        if self.landmark is None:
            return None
        fitting = [i for i, thing in enumerate(things) if self.landmark._may_fit(thing, None)]
        return things[fitting[0]] if len(fitting) == 1 and fitting[0] != index else None

    def _is_kind(self, thing: NamedThing) -> bool:
        return self.noun in (ANY_THING, thing.noun) and self.color in ('', thing.color)

    def _may_fit(self, thing: NamedThing, landmark: NamedThing | None) -> bool:
        if not self._is_kind(thing) or thing is landmark:
            return False
        if self.size == 'small' and thing.radius > _SMALL_PERHAPS:
            return False
        if self.size == 'large' and thing.radius < _LARGE_PERHAPS:
            return False
        return landmark is None or _offset(thing, landmark, self.relation)[0] > 0

    def _surely_fits(self, thing: NamedThing, landmark: NamedThing | None) -> bool:
        if not self._is_kind(thing):
            return False
        if self.size == 'small' and thing.radius > _SMALL_SURELY:
            return False
        if self.size == 'large' and thing.radius < _LARGE_SURELY:
            return False
        if landmark is None:
            return True
        ahead, aside = _offset(thing, landmark, self.relation)
        return ahead >= _RELATION_MARGIN and ahead >= abs(aside)


def _offset(thing: NamedThing, landmark: NamedThing, relation: str) -> tuple[float, float]:
    """How far a thing lies from a landmark in the direction of the relation, and aside."""
    right, down = thing.x - landmark.x, thing.y - landmark.y
    ahead = {'left of': -right, 'right of': right, 'above': -down, 'below': down}[relation]
    return ahead, down if relation in ('left of', 'right of') else right


def write_expressions(rng: np.random.Generator, things: Sequence[NamedThing]) -> list[str | None]:
    """Write an expression for each thing of an image.

    Args:
        rng: Source of randomness.
        things: All visible things.

    Returns:
        One expression per thing, drawn among those that name it alone; ``None`` if none does.
    """
    references = [_reference(index, things) for index in range(len(things))]
    expressions: list[str | None] = []
    for index, thing in enumerate(things):
        landmarks = [r for i, r in enumerate(references) if i != index and r is not None]
        candidates = _candidates(rng, thing, landmarks)
        found = next((c for c in candidates if c.names(index, things)), None)
        expressions.append(None if found is None else found.words())
    return expressions


def _reference(index: int, things: Sequence[NamedThing]) -> Description | None:
    """How a thing is called as a landmark: by its class, or with its colour, if that is unique."""
    thing = things[index]
    twins = [other for other in things if other.noun == thing.noun]
    if len(twins) == 1:
        return Description(thing.noun)
    is_unique = sum(other.color == thing.color for other in twins) == 1
    return Description(thing.noun, thing.color) if is_unique else None


def _candidates(
    rng: np.random.Generator, thing: NamedThing, landmarks: Sequence[Description]
) -> Iterator[Description]:
    """Descriptions that may fit a thing, in random order of their forms."""
    for form in rng.permutation(len(_FORMS)).tolist():
        kind, colored, extra = _FORMS[form]
        noun = thing.noun if kind == 'class' else ANY_THING
        color = thing.color if colored else ''
        if not extra:
            yield Description(noun, color)
        elif extra == 'size':
            yield Description(noun, color, size=SIZES[thing.radius > _SMALL_PERHAPS])
        elif extra == 'place':
            for place in rng.permutation(len(PLACES)).tolist():
                yield Description(noun, color, place=PLACES[place])
        else:
            choices = rng.permutation(len(RELATIONS) * len(landmarks))[:RELATION_TRIES]
            for choice in choices.tolist():
                relation, other = divmod(choice, len(landmarks))
                yield Description(
                    noun, color, relation=RELATIONS[relation], landmark=landmarks[other]
                )
