"""What the machine at hand can do, measured in the same process."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

_SIDES = (1024, 1536, 2048)  # of the square matrices that are multiplied
_DEVICE_SIDES = (4096, 8192)  # the same on a GPU, which small ones do not fill
_MAPS = ((64, 128), (256, 64), (512, 32))  # channels and side of those that are convolved
_DEVICE_MAPS = ((256, 256), (512, 128))
_BYTES = 1 << 27  # copied; larger than caches
_DEVICE_BYTES = 1 << 30


@dataclass(frozen=True)
class Roofline:
    """The two ceilings of a device, and what bounds a computation below them.

    Source: Williams et al., "Roofline: An Insightful Visual Performance Model", CACM 2009.

    Attributes:
        flops_per_second: Of the fastest product of large matrices or convolution of large maps.
        bytes_per_second: Read and written by a large copy.
    """

    flops_per_second: float
    bytes_per_second: float

    def least_seconds(self, flops: float, moved_bytes: float) -> float:
        """What a computation takes at least."""
        return max(flops / self.flops_per_second, moved_bytes / self.bytes_per_second)


def measure_roofline(device: torch.device, dtype: torch.dtype = torch.float32) -> Roofline:
    """Measure both ceilings, the first by the best of several sizes; takes some seconds.

    Convolutions are among them, as on some processors they reach more than products of matrices.

    Args:
        device: Where.
        dtype: Of the matrices. In float32, products on a GPU may use TF32 where its convolutions
            do, as they make up most of a network.
    """
    on_cpu = device.type == 'cpu'
    size = _BYTES if on_cpu else _DEVICE_BYTES
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    sides, maps = (_SIDES, _MAPS) if on_cpu else (_DEVICE_SIDES, _DEVICE_MAPS)
    with _products_as_convolutions():
        reached = [_product(side, device, dtype) for side in sides]
        reached += [_convolution(channels, side, device, dtype) for channels, side in maps]
    return Roofline(
        flops_per_second=max(reached),
        bytes_per_second=2 * size / best_seconds(lambda: target.copy_(source), device),
    )


def _product(side: int, device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of the product of two square matrices."""
    left = torch.randn(side, side, device=device).to(dtype)
    return 2 * side**3 / best_seconds(lambda: left @ left, device)


def _convolution(channels: int, side: int, device: torch.device, dtype: torch.dtype) -> float:
    """Operations per second of a 3x3 convolution of a square map, channels last."""
    filters = torch.randn(channels, channels, 3, 3, device=device)
    maps = torch.randn(1, channels, side, side, device=device)
    filters, maps = (
        tensor.to(dtype, memory_format=torch.channels_last) for tensor in (filters, maps)
    )
    flops = 2 * 9 * channels**2 * side**2  # a little less at the border
    return flops / best_seconds(lambda: F.conv2d(maps, filters, padding=1), device)


@contextmanager
def _products_as_convolutions() -> Iterator[None]:
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def best_seconds(action: Callable[[], object], device: torch.device, repeats: int = 8) -> float:
    """Shortest elapsed time of an action after one run that does not count."""
    times = []
    for _ in range(repeats + 1):
        begin = time.perf_counter()
        action()
        synchronize(device)
        times.append(time.perf_counter() - begin)
    return min(times[1:])


def synchronize(device: torch.device) -> None:
    """Wait until a GPU has done what it was told; CPUs have always done it."""
    if device.type == 'cuda':
        torch.cuda.synchronize(device)


class OtherPrograms:
    """How many processor cores others keep busy, from when this is made."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._others = _seconds_of_others()

    def cores(self) -> float | None:
        """On average until now; ``None`` where the system does not tell."""
        now = _seconds_of_others()
        if now is None or self._others is None:
            return None
        return max(0.0, now - self._others) / (time.perf_counter() - self._began)


def _seconds_of_others() -> float | None:
    """Processor seconds of all programs but this one and those it started, since the start.

    Linux alone tells; time that a host took away from a virtual machine is no program's.
    """
    counters = Path('/proc/stat')
    if not counters.exists():
        return None
    ticks = [int(value) for value in counters.read_text().partition('\n')[0].split()[1:8]]
    user, nice, system, _, _, interrupts, soft_interrupts = ticks
    busy = (user + nice + system + interrupts + soft_interrupts) / os.sysconf('SC_CLK_TCK')
    return busy - sum(os.times()[:4])


def describe_machine(
    device: torch.device, roofline: Roofline, others: OtherPrograms
) -> dict[str, Any]:
    """What a figure has to be read with.

    Args:
        device: Where it was measured.
        roofline: Of that device.
        others: Made before the measurement, looked at now.
    """
    return {
        'device': str(device),
        'name': device_name(device),
        'cpu_capability': torch.backends.cpu.get_cpu_capability(),
        'amx': bool(torch.cpu._is_amx_tile_supported()),
        'threads': torch.get_num_threads(),
        'waiting_threads': os.environ.get('OMP_WAIT_POLICY', 'default'),
        'others': others.cores(),
        'torch': torch.__version__,
        'roofline': asdict(roofline),
    }


def device_name(device: torch.device) -> str:
    """What the processor or the GPU is called."""
    if device.type == 'cuda':
        return torch.cuda.get_device_name(device)
    info = Path('/proc/cpuinfo')
    if info.exists():
        for line in info.read_text(errors='replace').splitlines():
            if line.startswith('model name'):
                return line.partition(':')[2].strip()
    return platform.processor() or platform.machine()
