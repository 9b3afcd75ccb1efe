"""One class of a data set: its name, what else it is called, its colour and its number."""

from __future__ import annotations

from dataclasses import dataclass

from seg.utils.checks import UserError
from seg.visualization.palettes import Color


@dataclass(frozen=True)
class ClassInfo:
    """One class.

    Attributes:
        name: What the data set calls it, such as ``'door-stuff'``.
        synonyms: What to call it in a prompt, at least one, normalised by
            :func:`parse_synonyms`; the first one is the main one.
        color: RGB, 0..255.
        category_id: Its number in the data set's own files.
    """

    name: str
    synonyms: tuple[str, ...]
    color: Color
    category_id: int


def class_info(category_id: int, name: str, color: Color, synonyms: str = '') -> ClassInfo:
    """Describe one class in one line of a table.

    Args:
        category_id: Its number in the data set's own files.
        name: What the data set calls it.
        color: RGB, 0..255.
        synonyms: What to call it in prompts, separated by commas; by default its name.
    """
    return ClassInfo(name, parse_synonyms(synonyms or name), color, category_id)


def parse_synonyms(text: str) -> tuple[str, ...]:
    """Split the name of a class into normalised synonyms.

    ``_or_``, ``/`` and ``,`` separate synonyms, ``_`` is a space, case does not matter, and a
    repeated synonym counts once: ``'Ship_or_boat'`` is ``('ship', 'boat')``.

    Args:
        text: The name, such as ``'table_or_desk'`` or ``'cat, cats, kitty'``.

    Raises:
        UserError: If there is no word in it.
    """
    text = text.lower().replace('_or_', ',').replace('/', ',').replace('_', ' ')
    words = [' '.join(part.split()) for part in text.split(',')]
    synonyms = tuple(dict.fromkeys(word for word in words if word))
    if not synonyms:
        raise UserError(f'class {text!r}: expected a name, got no word')
    return synonyms
