"""Counting the calls for which a program waits for its GPU."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from seg.utils.devices import HostCopy, as_if_ahead

_READS = {
    *(Tensor.item, Tensor.tolist, Tensor.cpu),
    *(Tensor.__bool__, Tensor.__int__, Tensor.__float__, Tensor.__index__),
    *(torch.equal, Tensor.equal, torch.allclose, Tensor.allclose),
}
_SIZED_BY_VALUES = {
    *(torch.nonzero, Tensor.nonzero, torch.argwhere, Tensor.argwhere),
    *(torch.masked_select, Tensor.masked_select, torch.unique, Tensor.unique),
    *(torch.unique_consecutive, Tensor.unique_consecutive, torch.bincount, Tensor.bincount),
}
_INDEXED = {Tensor.__getitem__, Tensor.__setitem__}
_PACKAGE = str(Path(__file__).resolve().parents[1])


def count_waits(step: Callable[[], object]) -> Counter[str]:
    """Run a step once and count its calls that make Python wait for what a GPU has still to do.

    These are reads of values (``item``, ``tolist``, ``cpu`` and the like) and operators whose
    result has a size that depends on values (``nonzero``, indices of bools). They are counted by
    their names on the way that a GPU would go, so a CPU counts what a GPU would, and reads of
    tensors that are never on a GPU as well; what operators do inside is not seen, nor are copies
    to the GPU. Copies that a :class:`~seg.utils.devices.HostCopy` waits for together count as one.

    Args:
        step: What is run.

    Returns:
        Line of this package that asked (``models/heads/clip_step.py:171 nonzero``) to the number
        of calls.
    """
    counter = _WaitCounter()
    wait = HostCopy.wait

    def counted(copy: HostCopy) -> list[np.ndarray]:
        counter.note('HostCopy.wait')
        return wait(copy)

    eager = torch.compiler.set_stance('force_eager')  # a program would be compiled anew
    with counter, eager, as_if_ahead(), mock.patch.object(HostCopy, 'wait', counted):
        step()
    return counter.calls


class _WaitCounter(TorchFunctionMode):
    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if waits_for_values(func, args, kwargs or {}):
            self.note(func.__name__)
        return func(*args, **(kwargs or {}))

    def note(self, name: str) -> None:
        """Count a call by the innermost line of this package that is being run."""
        self.calls[f'{_caller()} {name}'] += 1


def waits_for_values(func: Any, args: tuple, kwargs: dict[str, Any]) -> bool:
    """Whether a call, as ``__torch_function__`` gets it, reads values or needs them for a size."""
    if func in _READS or func in _SIZED_BY_VALUES:
        return True
    if func is Tensor.to:
        return any(isinstance(v, str) and v == 'cpu' for v in (*args[1:], *kwargs.values()))
    if func is torch.where:
        return len(args) == 1
    if func in (torch.repeat_interleave, Tensor.repeat_interleave):
        repeats = args[1] if len(args) > 1 else kwargs.get('repeats')
        return isinstance(repeats, Tensor) and 'output_size' not in kwargs
    return func in _INDEXED and _has_flags(args[1])


def _has_flags(index: Any) -> bool:
    parts = index if isinstance(index, tuple) else (index,)
    return any(isinstance(part, Tensor) and part.dtype is torch.bool for part in parts)


def _caller() -> str:
    """The innermost line of this package, outside this file, that is being run."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_code.co_filename
        if name.startswith(_PACKAGE) and name != __file__:
            return f'{Path(name).relative_to(_PACKAGE).as_posix()}:{frame.f_lineno}'
        frame = frame.f_back  # type: ignore[assignment]
    return 'elsewhere'
