"""Undo and redo over immutable states, within a bound."""

from __future__ import annotations

from collections import deque

from seg.apis.annotation.state import ItemState
from seg.utils.checks import UserError

MAX_STEPS = 100
MAX_MASKS = 20_000
"""Masks that old states may hold beside the present one, in all."""


class History:
    """What was, and what was undone.

    Args:
        state: The present.
    """

    def __init__(self, state: ItemState) -> None:
        self.state = state
        self._past: deque[tuple[ItemState, int]] = deque()
        self._future: list[tuple[ItemState, int]] = []

    @property
    def can_undo(self) -> bool:
        """Whether there is something to undo."""
        return bool(self._past)

    @property
    def can_redo(self) -> bool:
        """Whether there is something to do again."""
        return bool(self._future)

    def push(self, state: ItemState, cost: int = 1) -> None:
        """Go on to a new state; what was undone is gone.

        Args:
            state: The new present.
            cost: About how many masks differ.
        """
        self._past.append((self.state, cost))
        self._future.clear()
        self.state = state
        self._forget_the_oldest()

    def amend(self, state: ItemState, cost: int = 1) -> None:
        """Change the present without a step of its own, as part of the last one."""
        if self._past:
            before, so_far = self._past[-1]
            self._past[-1] = (before, so_far + cost)
        self.state = state
        self._forget_the_oldest()

    def join(self) -> None:
        """Make one step of the last two."""
        assert len(self._past) > 1, 'two steps were made'
        _, cost = self._past.pop()
        before, earlier = self._past[-1]
        self._past[-1] = (before, earlier + cost)

    def copy(self) -> History:
        """The same history, which goes on by itself."""
        other = History(self.state)
        other._past, other._future = self._past.copy(), self._future.copy()
        return other

    def undo(self) -> None:
        """Go one step back.

        Raises:
            UserError: If there is none.
        """
        if not self._past:
            raise UserError('undo: expected something that was done, got nothing')
        before, cost = self._past.pop()
        self._future.append((self.state, cost))
        self.state = before

    def redo(self) -> None:
        """Go one step forth again.

        Raises:
            UserError: If nothing was undone.
        """
        if not self._future:
            raise UserError('redo: expected something that was undone, got nothing')
        after, cost = self._future.pop()
        self._past.append((self.state, cost))
        self.state = after

    def _forget_the_oldest(self) -> None:
        total = sum(cost for _, cost in self._past)
        while len(self._past) > 1 and (len(self._past) > MAX_STEPS or total > MAX_MASKS):
            total -= self._past.popleft()[1]
