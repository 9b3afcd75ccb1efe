"""Many texts in two arrays, which can be memory-mapped and cost no Python object each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

import numpy as np


class Texts(Sequence[str]):
    """A sequence of texts behind one array of bytes.

    Args:
        data: All texts one after another, uint8, UTF-8.
        ends: Where each of them ends, (S,), int64.
    """

    def __init__(self, data: np.ndarray, ends: np.ndarray) -> None:
        self.data = data
        self.ends = ends

    @classmethod
    def pack(cls, values: Iterable[str | bytes]) -> Texts:
        """Put texts into arrays; names that are no UTF-8 survive as the file system has them."""
        codes = [
            value if isinstance(value, bytes) else value.encode('utf-8', 'surrogateescape')
            for value in values
        ]
        ends = np.cumsum([len(code) for code in codes], dtype=np.int64)
        return cls(np.frombuffer(b''.join(codes), dtype=np.uint8), ends)

    def __len__(self) -> int:
        """Number of texts S."""
        return len(self.ends)

    @overload
    def __getitem__(self, index: int) -> str: ...

    @overload
    def __getitem__(self, index: slice) -> list[str]: ...

    def __getitem__(self, index: int | slice) -> str | list[str]:
        """One text, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        return self.raw(index).decode('utf-8', 'surrogateescape')

    def raw(self, index: int) -> bytes:
        """One text as bytes.

        Raises:
            IndexError: If there is no such text.
        """
        if not -len(self) <= index < len(self):
            raise IndexError(f'text {index}: expected an index below {len(self)}')
        index %= len(self)
        start = int(self.ends[index - 1]) if index else 0
        return self.data[start : int(self.ends[index])].tobytes()
