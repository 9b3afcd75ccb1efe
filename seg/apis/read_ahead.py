"""Decoding the next frames while a network is busy with this one."""

from __future__ import annotations

from collections.abc import Iterator
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

Item = TypeVar('Item')

_END = object()


def read_ahead(items: Iterator[Item], count: int = 2) -> Iterator[Item]:
    """The same items in the same order, the next ones fetched by a thread.

    Decoders and networks leave Python's lock alone while they work, so both go on at once. At most
    ``count`` items wait at a time. An error comes out in place of the item that it befell, after
    all items before it. When the iteration ends, or is given up, the thread closes ``items`` and
    ends, after the item that it is busy with.

    Args:
        items: Gone through in the thread alone.
        count: How many items to be ahead, at least 1.
    """
    # An iteration that is forgotten is given up by the garbage collector, in any thread at any
    # moment. So nothing is waited for then, and no lock is taken that this thread may hold: what
    # SimpleQueue does is atomic.
    wanted: SimpleQueue[bool] = SimpleQueue()
    fetched: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
    given_up: list[bool] = []
    for _ in range(count):
        wanted.put(True)
    arguments = (items, wanted, fetched, given_up)
    Thread(target=_fetch, args=arguments, name='read_ahead', daemon=True).start()
    try:
        while True:
            item, error = fetched.get()
            if error is not None:
                raise error
            if item is _END:
                return
            wanted.put(True)
            yield item
    finally:
        given_up.append(True)
        wanted.put(False)


def _fetch(
    items: Iterator[Any],
    wanted: SimpleQueue[bool],
    fetched: SimpleQueue[tuple[Any, BaseException | None]],
    given_up: list[bool],
) -> None:
    """Fetch an item whenever one is wanted."""
    try:
        item = None
        while item is not _END and wanted.get() and not given_up:
            item = next(items, _END)
            fetched.put((item, None))
    except BaseException as error:
        fetched.put((None, error))
    finally:
        close = getattr(items, 'close', None)
        if close is not None:
            close()
