"""What the machine at hand can do, measured in the same process."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

_SIDE = 1536  # of the square matrices that are multiplied
_BYTES = 1 << 27  # copied; larger than caches


@dataclass(frozen=True)
class Roofline:
    """The two ceilings of a device, and what bounds a computation below them.

    Source: Williams et al., "Roofline: An Insightful Visual Performance Model", CACM 2009.

    Attributes:
        flops_per_second: Of a product of large matrices.
        bytes_per_second: Read and written by a large copy.
    """

    flops_per_second: float
    bytes_per_second: float

    def least_seconds(self, flops: float, moved_bytes: float) -> float:
        """What a computation takes at least."""
        return max(flops / self.flops_per_second, moved_bytes / self.bytes_per_second)


def measure_roofline(device: torch.device, dtype: torch.dtype = torch.float32) -> Roofline:
    """Measure both ceilings; takes well below a second on a quiet CPU.

    Args:
        device: Where.
        dtype: Of the matrices.
    """
    left = torch.randn(_SIDE, _SIDE, device=device).to(dtype)
    source = torch.zeros(_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return Roofline(
        flops_per_second=2 * _SIDE**3 / best_seconds(lambda: left @ left, device),
        bytes_per_second=2 * _BYTES / best_seconds(lambda: target.copy_(source), device),
    )


def best_seconds(action: Callable[[], object], device: torch.device, repeats: int = 4) -> float:
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


def describe_machine(device: torch.device, roofline: Roofline) -> dict[str, Any]:
    """What a figure has to be read with."""
    load = os.getloadavg()[0] if hasattr(os, 'getloadavg') else None
    return {
        'device': str(device),
        'name': device_name(device),
        'cpu_capability': torch.backends.cpu.get_cpu_capability(),
        'amx': bool(torch.cpu._is_amx_tile_supported()),
        'threads': torch.get_num_threads(),
        'load': load,
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
