"""Changes that the page asks for, by name; nothing else can be called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from seg.apis.annotation import AnnotatedItem
from seg.utils.checks import UserError

_MISSING = object()


class Asked:
    """The arguments of a request, each checked when it is taken.

    Args:
        content: JSON.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    def whole(self, name: str, default: Any = _MISSING) -> int:
        """A whole number."""
        return self._take(name, default, lambda v: type(v) is int, 'a whole number')

    def flag(self, name: str, default: Any = _MISSING) -> bool:
        """True or false."""
        return self._take(name, default, lambda v: type(v) is bool, 'true or false')

    def text(self, name: str, default: Any = _MISSING) -> str:
        """A text."""
        return self._take(name, default, lambda v: isinstance(v, str), 'a text')

    def number(self, name: str) -> float:
        """A number."""
        return self._take(name, _MISSING, lambda v: type(v) in (int, float), 'a number')

    def numbers(self, name: str) -> list[float] | None:
        """A list of numbers, or null."""
        return self._take(
            name,
            None,
            lambda v: isinstance(v, list) and all(type(x) in (int, float) for x in v),
            'a list of numbers',
        )

    def wholes(self, name: str) -> list[int] | None:
        """A list of whole numbers, or null."""
        return self._take(
            name,
            None,
            lambda v: isinstance(v, list) and all(type(x) is int for x in v),
            'a list of whole numbers',
        )

    def _take(self, name: str, default: Any, fits: Callable[[Any], bool], expected: str) -> Any:
        value = self._content.get(name, _MISSING)
        if value is _MISSING or (value is None and default is not _MISSING):
            if default is _MISSING:
                raise UserError(f'{name}: expected {expected}, got nothing')
            return default
        if not fits(value):
            raise UserError(f'{name}: expected {expected}, got {value!r:.40}')
        return value


def _prompted(item: AnnotatedItem, asked: Asked, ask: Callable[[int], None]) -> None:
    """Prompt an object, or a new one where none is named."""
    object_id = asked.whole('object', 0)
    if object_id:
        ask(object_id)
    else:
        item.add_prompted(asked.text('label', 'object'), ask)


def _click(item: AnnotatedItem, asked: Asked) -> None:
    x, y, frame = asked.number('x'), asked.number('y'), asked.whole('frame')
    positive = asked.flag('positive', True)
    _prompted(item, asked, lambda one: item.add_click(one, x, y, positive, frame))


def _box(item: AnnotatedItem, asked: Asked) -> None:
    box, frame = asked.numbers('box'), asked.whole('frame')
    _prompted(item, asked, lambda one: item.set_box(one, box, frame))


def _text(item: AnnotatedItem, asked: Asked) -> None:
    text, frame = asked.text('text', None), asked.whole('frame')
    _prompted(item, asked, lambda one: item.set_text(one, text, frame))


def _find(item: AnnotatedItem, asked: Asked) -> None:
    found = item.find(asked.text('text', None), asked.numbers('box'), asked.whole('frame'))
    if not found:
        raise UserError('find: expected at least one new instance, found none; try other words')


def _everything(item: AnnotatedItem, asked: Asked) -> None:
    if not item.find_everything(asked.whole('frame')):
        raise UserError('everything: expected at least one new segment, found none; click instead')


def _move_click(item: AnnotatedItem, asked: Asked) -> None:
    place = asked.number('x'), asked.number('y')
    item.move_click(asked.whole('object'), asked.whole('index'), *place, asked.whole('frame'))


EDITS: dict[str, Callable[[AnnotatedItem, Asked], Any]] = {
    'click': _click,
    'move_click': _move_click,
    'remove_click': lambda item, asked: item.remove_click(
        asked.whole('object'), asked.whole('index'), asked.whole('frame')
    ),
    'box': _box,
    'text': _text,
    'find': _find,
    'everything': _everything,
    'absent': lambda item, asked: item.set_mask(asked.whole('object'), None, asked.whole('frame')),
    'clear': lambda item, asked: item.clear_frame(asked.whole('object'), asked.whole('frame')),
    'add_object': lambda item, asked: item.add_object(asked.text('label', 'object')),
    'relabel': lambda item, asked: item.relabel(asked.whole('object'), asked.text('label')),
    'accept': lambda item, asked: item.accept(asked.whole('object'), asked.flag('accepted')),
    'hide': lambda item, asked: item.hide(asked.whole('object'), asked.flag('hidden')),
    'delete': lambda item, asked: item.delete_object(asked.whole('object')),
    'undo': lambda item, asked: item.undo(),
    'redo': lambda item, asked: item.redo(),
}


def apply_edit(item: AnnotatedItem, content: dict[str, Any]) -> None:
    """Change an item.

    Args:
        item: The item.
        content: ``action``, a key of :data:`EDITS`, and its arguments.

    Raises:
        UserError: If the action is unknown, an argument wrong, or the item refuses.
    """
    action = content.get('action')
    if not isinstance(action, str) or action not in EDITS:
        raise UserError(f'action: expected one of {", ".join(EDITS)}, got {action!r:.40}')
    EDITS[action](item, Asked(content))
