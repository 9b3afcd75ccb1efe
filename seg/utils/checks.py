"""Checks at public boundaries and the wording of their errors."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake that the user can fix; its text says what was expected, what came, and the fix."""


def unknown_name_message(kind: str, name: str, known: Iterable[str]) -> str:
    """One line that names an unknown thing, the nearest known one, and all that exist.

    Args:
        kind: What is being named, such as ``'task'``.
        name: The name that was given.
        known: The names that exist.
    """
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    hint = f' Did you mean {near[0]!r}?' if near else ''
    return f'unknown {kind} {name!r}: expected one of {", ".join(names)}.{hint}'


def first_line(error: BaseException, most: int = 200) -> str:
    """What an error says, for a line of another one; its kind if it says nothing.

    Args:
        error: The error.
        most: Characters that are kept.
    """
    lines = str(error).strip().splitlines()
    return (lines[0].rstrip() if lines else type(error).__name__)[:most]
