"""Devices that work while Python goes on, and what they have to say in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np
import torch
from torch import Tensor

_everywhere: ContextVar[bool] = ContextVar('runs_ahead_everywhere', default=False)


def runs_ahead(device: torch.device) -> bool:
    """Whether calls for a device return before it has done the work, as those for a GPU do.

    There to look at a value is to wait for all that was asked before, and to leave out work costs
    a look. A CPU is asked nothing in vain.
    """
    return device.type != 'cpu' or _everywhere.get()


@contextmanager
def as_if_ahead() -> Iterator[None]:
    """Go the ways of devices that run ahead on the CPU as well: to test them and count waits."""
    token = _everywhere.set(True)
    try:
        yield
    finally:
        _everywhere.reset(token)


class HostCopy:
    """Tensors on their way to main memory, all of which are waited for at once.

    Args:
        tensors: Nobody may change them in place before :meth:`wait` returns.
    """

    def __init__(self, *tensors: Tensor) -> None:
        self._done: torch.cuda.Event | None = None
        self._tensors = [self._started(tensor) for tensor in tensors]
        if self._done is not None:
            self._done.record()

    def _started(self, tensor: Tensor) -> Tensor:
        if tensor.device.type != 'cuda':
            return tensor if tensor.device.type == 'cpu' else tensor.cpu()
        self._done = self._done or torch.cuda.Event()
        copy = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
        return copy.copy_(tensor, non_blocking=True)

    def wait(self) -> list[np.ndarray]:
        """The values, in the order of the tensors."""
        if self._done is not None:
            self._done.synchronize()
        return [tensor.numpy() for tensor in self._tensors]
