"""Renaming the keys of a state dict by an ordered list of regular expressions."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import TypeVar

from seg.utils.checks import UserError

V = TypeVar('V')


class KeyMap:
    """An ordered list of renaming rules; every rule is applied to every key, one after another.

    Args:
        rules: Pairs of a pattern and its replacement, as :func:`re.sub` takes them.
        drop: Patterns of keys to leave out, matched against the name before renaming.
    """

    def __init__(self, rules: Iterable[tuple[str, str]], drop: Iterable[str] = ()) -> None:
        self._rules = [(re.compile(pattern), replacement) for pattern, replacement in rules]
        self._drop = [re.compile(pattern) for pattern in drop]

    def rename(self, key: str) -> str:
        """The new name of one key; a key that no rule matches keeps its name."""
        for pattern, replacement in self._rules:
            key = pattern.sub(replacement, key)
        return key

    def apply(self, state: Mapping[str, V]) -> dict[str, V]:
        """Rename the keys of a state dict, keeping their order.

        Raises:
            UserError: If two keys would get the same name.
        """
        kept = {key: value for key, value in state.items() if not self._is_dropped(key)}
        self.check_bijective(kept)
        return {self.rename(key): value for key, value in kept.items()}

    def check_bijective(self, keys: Iterable[str]) -> None:
        """Make sure that renaming loses nothing.

        Raises:
            UserError: If two of ``keys`` would get the same name.
        """
        sources: dict[str, list[str]] = defaultdict(list)
        for key in keys:
            sources[self.rename(key)].append(key)
        clashes = {new: old for new, old in sources.items() if len(old) > 1}
        if clashes:
            new, old = next(iter(clashes.items()))
            raise UserError(
                f'key map: expected every key to get a name of its own, got {len(clashes)} '
                f'clashes such as {" and ".join(old)} -> {new}; make the rules more specific'
            )

    def unmatched(self, keys: Iterable[str]) -> list[str]:
        """The keys that no rule touches."""
        return [
            key
            for key in keys
            if not self._is_dropped(key) and not any(rule.search(key) for rule, _ in self._rules)
        ]

    def _is_dropped(self, key: str) -> bool:
        return any(pattern.search(key) for pattern in self._drop)
