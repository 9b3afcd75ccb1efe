"""Which classes a data set has, what they are called, and how several data sets share one list.

Classes are numbered contiguously, things first: ``[0, num_things)`` are things and
``[num_things, num_classes)`` are stuff.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg.datasets.class_info import ClassInfo, parse_synonyms
from seg.utils.checks import UserError, unknown_name_message
from seg.visualization.palettes import class_palette

VOID_IDS = (255, 65535)
"""Ids in a map that mean "no class": of 8-bit maps and padding, and of 16-bit maps."""

UNKNOWN_ID = -1
"""Label of a segment whose class is not known."""

_MAX_JOINT_CLASSES = min(VOID_IDS)
_INVALID = np.iinfo(np.int32).min
_STUFF_HEADING = '[stuff]'


@dataclass(frozen=True)
class LabelSpace:
    """The classes of one data set, things and stuff apart.

    Args:
        name: What the list is called.
        things: Countable classes.
        stuff: Classes of amorphous regions.

    Raises:
        UserError: If there is no class, a name appears twice, or a class has no synonym.
    """

    name: str
    things: tuple[ClassInfo, ...]
    stuff: tuple[ClassInfo, ...] = ()

    def __post_init__(self) -> None:
        names = self.class_names
        if not names:
            raise UserError(f'label space {self.name!r}: expected at least one class, got none')
        for kind, classes in (('thing', self.things), ('stuff', self.stuff)):
            own = [info.name for info in classes]
            twice = sorted({name for name in own if own.count(name) > 1})
            if twice:
                raise UserError(
                    f'label space {self.name!r}: expected every {kind} class once, got '
                    f'{", ".join(map(repr, twice))} more than once; remove the repeated lines'
                )
        for info in self.classes:
            if not info.synonyms:
                raise UserError(f'label space {self.name!r}: class {info.name!r} has no synonym')

    @classmethod
    def from_names(cls, name: str, things: Sequence[str], stuff: Sequence[str] = ()) -> LabelSpace:
        """Make a label space from names, with colours of our choice and contiguous category ids.

        Args:
            name: What the list is called.
            things: Thing classes; commas separate synonyms, the first of which names the class.
            stuff: Stuff classes, likewise.
        """
        colors = class_palette(len(things) + len(stuff))
        infos = []
        for index, text in enumerate((*things, *stuff)):
            synonyms = parse_synonyms(text)
            label = text.split(',')[0].strip()
            infos.append(ClassInfo(label, synonyms, colors[index], index))
        return cls(name, tuple(infos[: len(things)]), tuple(infos[len(things) :]))

    @classmethod
    def from_file(cls, path: str | os.PathLike[str]) -> LabelSpace:
        """Read a class list: one class per line, commas between synonyms.

        Empty lines and lines that start with ``#`` are skipped; the classes after a line
        ``[stuff]`` are stuff, those before it things.

        Args:
            path: A UTF-8 text file.

        Raises:
            FileNotFoundError: If there is no such file.
            UserError: If it is no text or names no class.
        """
        path = Path(path).expanduser()
        if not path.is_file():
            raise FileNotFoundError(f'class list {path}: expected a text file, found none there')
        try:
            lines = path.read_text(encoding='utf-8').splitlines()
        except UnicodeDecodeError:
            raise UserError(f'class list {path}: expected UTF-8 text, one class per line') from None
        lines = [line.strip() for line in lines]
        lines = [line for line in lines if line and not line.startswith('#')]
        split = lines.index(_STUFF_HEADING) if _STUFF_HEADING in lines else len(lines)
        return cls.from_names(path.stem, lines[:split], lines[split + 1 :])

    @property
    def classes(self) -> tuple[ClassInfo, ...]:
        """All classes in the order of their contiguous ids."""
        return self.things + self.stuff

    @property
    def num_things(self) -> int:
        """Number of thing classes."""
        return len(self.things)

    @property
    def num_stuff(self) -> int:
        """Number of stuff classes."""
        return len(self.stuff)

    @property
    def num_classes(self) -> int:
        """Number of all classes."""
        return len(self.things) + len(self.stuff)

    @property
    def class_names(self) -> tuple[str, ...]:
        """The data set's names, things first."""
        return tuple(info.name for info in self.classes)

    @property
    def ambiguous_synonyms(self) -> tuple[str, ...]:
        """Words that stand for a thing and for a stuff class, which no text can tell apart."""
        things = {word for info in self.things for word in info.synonyms}
        stuff = {word for info in self.stuff for word in info.synonyms}
        return tuple(sorted(things & stuff))

    def metainfo(self) -> dict[str, Any]:
        """What a data set of these classes declares.

        Returns:
            ``classes`` (names, things first), ``num_things``, ``palette`` (RGB triples) and
            ``category_ids`` (contiguous id -> the data set's own id).
        """
        return {
            'classes': self.class_names,
            'num_things': self.num_things,
            'palette': [info.color for info in self.classes],
            'category_ids': tuple(info.category_id for info in self.classes),
        }


@dataclass(frozen=True)
class JoinedLabelSpace:
    """One list of classes for several data sets, with the way into it from each of them.

    Attributes:
        space: The joint list; its category ids are its contiguous ids.
        sources: The lists that were joined, in order.
        joint_ids: For each source, the joint id of each of its contiguous ids, int32.
    """

    space: LabelSpace
    sources: tuple[LabelSpace, ...]
    joint_ids: tuple[NDArray[np.int32], ...]

    def __post_init__(self) -> None:
        tables = tuple(_lookup_table(ids) for ids in self.joint_ids)
        object.__setattr__(self, '_tables', tables)

    def map_ids(self, source: int | str, ids: NDArray[Any]) -> NDArray[np.int32]:
        """Turn contiguous ids of one data set into joint ids.

        Args:
            source: Which data set: its index, or the name of its label space.
            ids: Integers of any shape, such as the labels of segments (N,) or a semantic map
                (H, W). Void (255 and 65535) and unknown (-1) ids stay as they are.

        Returns:
            The joint ids, int32, of the same shape.

        Raises:
            UserError: If the source is unknown, or an id is none of its classes.
            TypeError: If the ids are no integers.
        """
        index = self._index(source)
        ids = np.asarray(ids)
        if not np.issubdtype(ids.dtype, np.integer):
            raise TypeError(f'ids: expected an integer array, got {ids.dtype}')
        tables: tuple[NDArray[np.int32], ...] = self.__dict__['_tables']
        try:
            joint: NDArray[np.int32] = tables[index].take(ids)
        except IndexError:
            raise self._foreign_id(index, ids) from None
        if joint.size and joint.min() == _INVALID:
            raise self._foreign_id(index, ids)
        return joint

    def _index(self, source: int | str) -> int:
        names = [space.name for space in self.sources]
        if isinstance(source, str):
            if source not in names:
                raise UserError(unknown_name_message('label space', source, names))
            return names.index(source)
        if not 0 <= source < len(names):
            raise UserError(f'source: expected 0..{len(names) - 1} ({names}), got {source}')
        return source

    def _foreign_id(self, index: int, ids: NDArray[Any]) -> UserError:
        space = self.sources[index]
        allowed = (UNKNOWN_ID, *range(space.num_classes), *VOID_IDS)
        foreign = sorted(set(np.unique(ids).tolist()) - set(allowed))
        return UserError(
            f'label space {space.name!r}: expected ids 0..{space.num_classes - 1}, {UNKNOWN_ID}, '
            f"{VOID_IDS[0]} or {VOID_IDS[1]}, got {foreign[:5]}; convert the data set's own ids "
            'to contiguous ones first'
        )


def join_label_spaces(spaces: Sequence[LabelSpace]) -> JoinedLabelSpace:
    """Join label spaces: classes that share a synonym become one.

    In the order given, each class is merged into the first class already listed that has one of
    its synonyms, and is appended otherwise. The listed class keeps its own name and synonyms.
    Things are never merged with stuff.

    Args:
        spaces: The lists to join, at least one.

    Raises:
        UserError: If there is nothing to join, or the result has more than 255 classes, so that
            the void id 255 would be a class.
    """
    if not spaces:
        raise UserError('label spaces: expected at least one to join, got none')
    things, thing_ids = _merge([space.things for space in spaces])
    stuff, stuff_ids = _merge([space.stuff for space in spaces])
    if len(things) + len(stuff) > _MAX_JOINT_CLASSES:
        raise UserError(
            f'label spaces: expected at most {_MAX_JOINT_CLASSES} joint classes, because id '
            f'{_MAX_JOINT_CLASSES} means void, got {len(things) + len(stuff)}; join fewer'
        )
    classes = [
        ClassInfo(info.name, info.synonyms, info.color, index)
        for index, info in enumerate((*things, *stuff))
    ]
    space = LabelSpace(
        '+'.join(space.name for space in spaces),
        tuple(classes[: len(things)]),
        tuple(classes[len(things) :]),
    )
    joint_ids = tuple(
        np.array([*own_things, *(len(things) + i for i in own_stuff)], dtype=np.int32)
        for own_things, own_stuff in zip(thing_ids, stuff_ids, strict=True)
    )
    return JoinedLabelSpace(space, tuple(spaces), joint_ids)


def _merge(
    lists: Sequence[tuple[ClassInfo, ...]],
) -> tuple[list[ClassInfo], list[list[int]]]:
    """Merge class lists by their synonyms; returns the joint list and each list's joint ids."""
    joint: list[ClassInfo] = []
    first_with: dict[str, int] = {}
    ids: list[list[int]] = []
    for classes in lists:
        own = []
        for info in classes:
            found = [first_with[word] for word in info.synonyms if word in first_with]
            if not found:
                found = [len(joint)]
                joint.append(info)
                for word in info.synonyms:
                    first_with[word] = len(joint) - 1
            own.append(min(found))
        ids.append(own)
    return _unique_names(joint), ids


def _unique_names(classes: list[ClassInfo]) -> list[ClassInfo]:
    """Rename later classes whose name another class has, though no synonym is shared."""
    seen: dict[str, int] = {}
    renamed = []
    for info in classes:
        count = seen[info.name] = seen.get(info.name, 0) + 1
        name = info.name if count == 1 else f'{info.name} ({count})'
        renamed.append(ClassInfo(name, info.synonyms, info.color, info.category_id))
    return renamed


def _lookup_table(joint_ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Make the table that one ``take`` needs; negative ids index it from its end."""
    table = np.full(2 * (max(VOID_IDS) + 1), _INVALID, dtype=np.int32)
    for void in VOID_IDS:
        table[void] = void
    table[: len(joint_ids)] = joint_ids
    table[UNKNOWN_ID] = UNKNOWN_ID
    return table
