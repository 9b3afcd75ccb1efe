"""Devices that work while Python goes on, and what they have to say in the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache

import numpy as np
import torch
from torch import Tensor, nn

_ALL = 1 << 30
_CACHED = 1 << 19  # numbers for each thread, which have caches of their own
_ON_DEVICE = 1 << 27  # numbers, of 512 MiB

_everywhere: ContextVar[bool] = ContextVar('runs_ahead_everywhere', default=False)


def runs_ahead(device: torch.device) -> bool:
    """Whether calls for a device return before it has done the work, as those for a GPU do.

    There to look at a value is to wait for all that was asked before, so work is not left out where
    one would have to look first. A CPU has nothing to wait for, and leaves it out.
    """
    return device.type != 'cpu' or _everywhere.get()


def can_look(device: torch.device) -> bool:
    """Whether values may decide what is computed.

    Not where a device would have to be waited for, and not in a program that is exported or
    compiled, which does the same whatever comes.
    """
    return not (torch.compiler.is_compiling() or runs_ahead(device))


@contextmanager
def as_if_ahead() -> Iterator[None]:
    """Go the ways of devices that run ahead on the CPU as well: to test them and count waits."""
    token = _everywhere.set(True)
    try:
        yield
    finally:
        _everywhere.reset(token)


def device_of(model: nn.Module) -> torch.device:
    """Where the parameters of a model are; the CPU for one without any."""
    first = next(model.parameters(), None)
    return torch.device('cpu') if first is None else first.device


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; on a CPU PyTorch raises a plain RuntimeError."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    if not isinstance(error, RuntimeError):
        return False
    return "can't allocate memory" in str(error) or 'not enough memory' in str(error)


def rows_at_once(numbers_per_row: int, device: torch.device) -> int:
    """How many rows of a large tensor go through several passes together.

    With few, what one pass leaves behind is still in the cache of a processor for the next. A GPU
    gets as many as its memory has room for, as few would not fill it. In training all of it is
    kept anyway, and programs that are exported or compiled have no loops over rows.
    """
    if torch.is_grad_enabled() or torch.compiler.is_compiling():
        return _ALL
    most = _CACHED * torch.get_num_threads() if device.type == 'cpu' else _ON_DEVICE
    return max(1, most // max(1, numbers_per_row))


@cache
def copy_stream(device: torch.device, direction: str) -> torch.cuda.Stream:
    """The stream of a GPU for copies ``'up'`` or ``'down'``: one for all, as each keeps memory."""
    return torch.cuda.Stream(device)


class HostCopy:
    """Tensors on their way to main memory, all of which are waited for at once.

    Those on a GPU are copied on a stream of their own, when what was asked for before is done.

    Args:
        tensors: At least one, all on one device. Nobody may change them in place before
            :meth:`wait` returns.
    """

    def __init__(self, *tensors: Tensor) -> None:
        device = tensors[0].device
        self._done: torch.cuda.Event | None = None
        self._tensors = list(tensors)
        if device.type == 'cuda':
            stream = copy_stream(device, 'down')
            stream.wait_stream(torch.cuda.current_stream(device))
            with torch.cuda.stream(stream):
                self._tensors = [_to_pinned(tensor, stream) for tensor in tensors]
            self._done = stream.record_event()

    def wait(self) -> list[np.ndarray]:
        """The values, in the order of the tensors; on a CPU they share the memory of these."""
        if self._done is None:
            return [tensor.numpy(force=True) for tensor in self._tensors]
        self._done.synchronize()
        # Copied once more, as pinned memory is scarce and results may be kept.
        return [tensor.numpy().copy() for tensor in self._tensors]


def _to_pinned(tensor: Tensor, stream: torch.cuda.Stream) -> Tensor:
    tensor.record_stream(stream)
    copy = torch.empty(tensor.shape, dtype=tensor.dtype, device='cpu', pin_memory=True)
    return copy.copy_(tensor.detach(), non_blocking=True)
