"""Fields of JSON objects in annotation files, and whether their values are of the right kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from seg.utils.checks import UserError

_LARGEST = 1 << 31


class FieldKind(NamedTuple):
    """What a field may hold.

    Attributes:
        words: What is expected, for messages.
        accepts: Whether a value is one.
    """

    words: str
    accepts: Callable[[Any], bool]


Fields = Mapping[str, FieldKind]
"""Kinds of the fields that an object must have, by name."""


def _is_integer(value: Any) -> bool:
    # Whole numbers with a decimal point are those of programs without integers.
    if type(value) is float:
        return value.is_integer() and abs(value) < 1 << 53
    return type(value) is int and abs(value) < 1 << 63


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and '\0' not in value


def _is_color(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_level, value))


def _is_level(value: Any) -> bool:
    return _is_integer(value) and 0 <= value <= 255


def _is_box(value: Any) -> bool:
    if value is None:
        return True
    is_list = isinstance(value, list) and len(value) == 4
    return is_list and all(type(side) in (int, float) and abs(side) < _LARGEST for side in value)


ANYTHING = FieldKind('anything', lambda value: True)
INTEGER = FieldKind('an integer', _is_integer)
SIDE = FieldKind('a positive integer', lambda value: _is_integer(value) and 0 < value < _LARGEST)
IDENTITY = FieldKind(
    'an integer or a text', lambda value: _is_integer(value) or isinstance(value, str)
)
TEXT = FieldKind('a text', _is_text)
TEXTS = FieldKind(
    'a list of texts', lambda value: isinstance(value, list) and all(map(_is_text, value))
)
LIST = FieldKind('a list', lambda value: isinstance(value, list))
FLAG = FieldKind('0 or 1', lambda value: isinstance(value, (int, float)) and value in (0, 1))
BOX = FieldKind('null or the numbers [x, y, width, height]', _is_box)
COLOR = FieldKind(
    'null or three integers of 0 to 255', lambda value: value is None or _is_color(value)
)


def field_faults(
    record: Any, fields: Fields, where: str, optional: Fields | None = None
) -> Iterator[str]:
    """What is wrong with the fields of an entry.

    Args:
        record: Should be a JSON object.
        fields: What it must have.
        where: Names it, for messages.
        optional: What it may have.

    Yields:
        What was expected and what is there instead.
    """
    if not isinstance(record, Mapping):
        yield f'expected an object in {where}, got {shown(record)}'
        return
    for key, kind in fields.items():
        if key not in record:
            known = sorted(map(str, record))
            yield f'expected the field {key!r} in {where}, got the fields {known}'
        elif not kind.accepts(record[key]):
            yield _wrong(key, kind, where, record[key])
    for key, kind in (optional or {}).items():
        if key in record and not kind.accepts(record[key]):
            yield _wrong(key, kind, where, record[key])


def _wrong(key: str, kind: FieldKind, where: str, value: Any) -> str:
    return f'expected {kind.words} in the field {key!r} of {where}, got {shown(value)}'


def shown(value: Any) -> str:
    """A value in an error message: its beginning, in one line."""
    text = ' '.join(repr(value).split())
    return text if len(text) <= 60 else f'{text[:60]}...'


def check_fields(
    record: Any, fields: Fields, source: Path | str, where: str, optional: Fields | None = None
) -> None:
    """Check an entry; see :func:`field_faults`.

    Args:
        record: Should be a JSON object.
        fields: What it must have.
        source: The file, for messages.
        where: Names the entry in it.
        optional: What it may have.

    Raises:
        UserError: With the first fault.
    """
    for fault in field_faults(record, fields, where, optional):
        raise UserError(f'{source}: {fault}; mend the file, or export it again')


def require(
    record: Mapping[str, Any],
    key: str,
    source: Path | str,
    where: str,
    kind: FieldKind = ANYTHING,
) -> Any:
    """A field of a JSON object.

    Raises:
        UserError: If it is missing or of another kind; the message names the file and the place
            in it.
    """
    check_fields(record, {key: kind}, source, where)
    return record[key]


def entry_name(record: Any, what: str, field: str, place: int) -> str:
    """What to call an entry of a list in messages: by its id if it has one, else by its place."""
    if isinstance(record, Mapping) and IDENTITY.accepts(record.get('id')):
        return f'{what} {record["id"]}'
    return f'{field}[{place}]'


def entries_by_id(
    rows: Sequence[Any],
    fields: Fields,
    source: Path,
    what: str,
    field: str,
    optional: Fields | None = None,
) -> dict[Any, Mapping[str, Any]]:
    """The entries of a list by their ids, all of them checked.

    Args:
        rows: The list.
        fields: What each entry must have, ``'id'`` among them.
        source: The file, for messages.
        what: What an entry is, such as ``'image'``.
        field: Name of the list.
        optional: What an entry may have.

    Raises:
        UserError: If a field is missing or of another kind, or an id occurs twice.
    """
    found: dict[Any, Mapping[str, Any]] = {}
    for place, row in enumerate(rows):
        check_fields(row, fields, source, entry_name(row, what, field, place), optional)
        if row['id'] in found:
            raise UserError(
                f'{source}: expected every id in {field!r} once, got {row["id"]!r} more than '
                'once; remove or rename the repeated ones'
            )
        found[row['id']] = row
    return found
