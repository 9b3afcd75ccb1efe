"""Time per part, peak memory, and what a step computes and moves."""

from __future__ import annotations

import resource
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from seg.benchmark.machine import synchronize

_INTERVAL = 0.01  # seconds between two looks at the memory in use


class Part(NamedTuple):
    """A method that belongs to a part of the work.

    Attributes:
        name: Of the part; several methods may share one.
        owner: Object that has the method.
        method: Its name.
    """

    name: str
    owner: Any
    method: str


@dataclass
class Stopwatch:
    """Elapsed time and processor time of parts, each without the parts inside it.

    Args:
        device: Whose work is waited for at the end of a part.
    """

    device: torch.device
    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    cpu_seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    _inner: list[list[float]] = field(default_factory=list)

    @contextmanager
    def running(self, name: str) -> Iterator[None]:
        """Count what happens here to a part."""
        synchronize(self.device)
        begin, cpu_begin = time.perf_counter(), time.process_time()
        self._inner.append([0.0, 0.0])
        try:
            yield
        finally:
            synchronize(self.device)
            took, cpu_took = time.perf_counter() - begin, time.process_time() - cpu_begin
            inner = self._inner.pop()
            self.seconds[name] += took - inner[0]
            self.cpu_seconds[name] += cpu_took - inner[1]
            if self._inner:
                self._inner[-1][0] += took
                self._inner[-1][1] += cpu_took

    @contextmanager
    def watching(self, parts: Sequence[Part]) -> Iterator[None]:
        """Count the time inside methods, which get back their old selves at the end."""
        own = [part.owner.__dict__.get(part.method) for part in parts]
        for part in parts:
            setattr(part.owner, part.method, self._timed(part))
        try:
            yield
        finally:
            for part, before in zip(parts, own, strict=True):
                if before is None:
                    delattr(part.owner, part.method)
                else:
                    setattr(part.owner, part.method, before)

    def _timed(self, part: Part) -> Callable[..., Any]:
        method = getattr(part.owner, part.method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.running(part.name):
                return method(*args, **kwargs)

        return timed


class MemoryMeter:
    """Peak memory above what was in use at the start: of the GPU, or of this process.

    Args:
        device: Whose.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.peak_bytes = 0
        self._stop = threading.Event()

    def __enter__(self) -> MemoryMeter:
        if self.device.type == 'cuda':
            torch.cuda.synchronize(self.device)
            torch.cuda.reset_peak_memory_stats(self.device)
            self._start = torch.cuda.memory_allocated(self.device)
            return self
        self._start = resident_bytes()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.device.type == 'cuda':
            self.peak_bytes = torch.cuda.max_memory_allocated(self.device) - self._start
            return
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, resident_bytes() - self._start)
            if self._stop.wait(_INTERVAL):
                return


def resident_bytes() -> int:
    """Memory of this process that is in RAM; its largest so far where the system does not say."""
    statm = Path('/proc/self/statm')
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Cost(NamedTuple):
    """What a step asks of a machine.

    Attributes:
        flops: Of matrix products and convolutions; a multiplication and an addition are two.
        moved_bytes: Read and written by all operators if nothing stays in caches, views excluded.
    """

    flops: int
    moved_bytes: int


def count_cost(step: Callable[[], object]) -> Cost:
    """Run a step once and count."""
    counts = {
        torch.ops.torchvision.deform_conv2d: _deform_conv_flops,
        torch.ops.aten._embedding_bag_forward_only: _embedding_bag_flops,
        torch.ops.aten._embedding_bag: _embedding_bag_flops,
        torch.ops.rapsam.sampled_deform_conv: _sampled_flops,
    }
    moved = _MovedBytes()
    with moved, FlopCounterMode(display=False, custom_mapping=counts) as flops:
        step()
    return Cost(flops.get_total_flops(), moved.total)


class _MovedBytes(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.total = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        if not func.is_view:
            leaves = tree_leaves((args, kwargs or {}, out))
            self.total += sum(leaf.nbytes for leaf in leaves if isinstance(leaf, torch.Tensor))
        return out


def _deform_conv_flops(x: Any, weight: Any, *_: Any, out_shape: Any, **__: Any) -> int:
    outputs = torch.Size(out_shape).numel()
    return 2 * outputs * torch.Size(weight[1:]).numel()


def _sampled_flops(x: Any, offsets: Any, modulation: Any, weight: Any, *_: Any, **__: Any) -> int:
    pixels = torch.Size(modulation).numel() // modulation[1]
    return 2 * pixels * (torch.Size(weight).numel() + 4 * torch.Size(weight[1:]).numel())


def _embedding_bag_flops(weight: Any, indices: Any, *_: Any, **__: Any) -> int:
    return 2 * torch.Size(indices).numel() * weight[1]
