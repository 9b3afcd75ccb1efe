"""Decoding the next frames while a network is busy with this one."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar('Item')

_END = object()


def read_ahead(items: Iterator[Item], count: int = 2) -> Iterator[Item]:
    """The same items in the same order, the next ones fetched by a thread.

    Decoders and networks leave Python's lock alone while they work, so both go on at once. At most
    ``count`` items wait at a time. An error comes out in place of the item that it befell, after
    all items before it. When the iteration ends, or is given up, the thread has ended as well.

    Args:
        items: Gone through in the thread alone.
        count: How many items to be ahead, at least 1.
    """
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix='read_ahead') as thread:
        waiting: deque[Future] = deque(thread.submit(next, items, _END) for _ in range(count))
        try:
            while (item := waiting.popleft().result()) is not _END:
                waiting.append(thread.submit(next, items, _END))
                yield item
        finally:
            for future in waiting:
                future.cancel()
            close = getattr(items, 'close', None)
            if close is not None:
                thread.submit(close).result()
