"""Measuring a workload: warm-up, end to end, by part, memory, cost."""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from seg.benchmark.machine import Roofline, synchronize
from seg.benchmark.meters import MemoryMeter, Stopwatch, count_cost
from seg.benchmark.waits import count_waits
from seg.benchmark.workloads import Workload
from seg.utils.checks import UserError
from seg.utils.devices import is_out_of_memory
from seg.utils.freed_memory import release_memory

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}


@dataclass(frozen=True)
class Plan:
    """How workloads are measured.

    Attributes:
        device: Where.
        size: (H, W) of frames, for messages.
        dtype: Key of :data:`DTYPES`; half types by autocast, whose float32 islands stay.
        warm_up: Steps that do not count.
        frames: Steps that count.
        batch: Frames per step.
    """

    device: torch.device
    size: Sequence[int]
    dtype: str = 'fp32'
    warm_up: int = 1
    frames: int = 3
    batch: int = 1


def check_dtype(device: torch.device, dtype: str) -> None:
    """Refuse a precision that a device does not compute in.

    Raises:
        UserError: If it does not.
    """
    if device.type == 'cpu' and dtype == 'fp16':
        raise UserError('--dtype: expected fp32 or bf16 on a CPU, got fp16; use bf16')
    if device.type == 'cuda' and dtype == 'bf16':
        with torch.cuda.device(device):
            computes = torch.cuda.is_bf16_supported(including_emulation=False)
        if not computes:
            raise UserError(
                '--dtype: expected fp32 or fp16 on this GPU, which has no bf16, got bf16'
            )


class Took(NamedTuple):
    """Time of a step, or the median of some, seconds.

    Attributes:
        wall: Elapsed.
        cpu: Of the processor.
    """

    wall: float
    cpu: float

    def on(self, device: torch.device) -> float:
        """What is compared: processor time, which other programs leave alone, or a GPU's time."""
        return self.cpu if device.type == 'cpu' else self.wall


@contextmanager
def telling_what_fits(
    name: str, size: Sequence[int], batch: int = 1, tried: Callable[[], str] | None = None
) -> Iterator[None]:
    """Say which size ran out of memory, and what needs less.

    Args:
        name: What is run.
        size: (H, W) of its frames.
        batch: Frames per step.
        tried: What fits, as a try shows; an estimate when left out.

    Raises:
        UserError: If memory runs out inside.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        reason = str(error)[:120]
        traceback.clear_frames(error.__traceback__)  # which keep what was computed
    else:
        return
    height, width = size
    fewer = f'--batch 1 instead of {batch}, or ' if batch > 1 else ''
    less = f'use {fewer}--size {height // 2}x{width // 2}, which takes about a quarter'
    less = tried() if tried is not None else less
    raise UserError(f'{name}: out of memory at {height}x{width} ({reason}); {less}')


def _what_fits(workload: Workload, plan: Plan) -> str:
    """The first way to do less that fits, as a step of it shows."""
    for change, build in workload.less.items():
        release_memory()
        if plan.device.type == 'cuda':
            torch.cuda.empty_cache()
        try:
            with torch.inference_mode(), precision(plan):
                smaller = build()
                smaller.reset()
                smaller.step(0)
        except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        else:
            return f'use {change}, of which a step was tried and fits'
    return f'less was tried and does not fit either: {", ".join(workload.less) or "nothing"}'


def measure(workload: Workload, plan: Plan, roofline: Roofline) -> dict[str, Any]:
    """Everything about a workload, for JSON.

    End-to-end times are taken without looking inside; parts in a pass of their own, as a GPU has
    to be waited for at each border.

    Raises:
        UserError: If memory runs out.
    """
    fits = telling_what_fits(
        workload.name, plan.size, plan.batch, lambda: _what_fits(workload, plan)
    )
    with fits, torch.inference_mode(), precision(plan):
        workload.reset()
        wall, cpu, counts, peak = _end_to_end(workload, plan)
        in_a_row = _in_a_row(workload, plan)
        parts = _by_part(workload, plan)
        # In inference mode the counter takes products apart below autocast, whose casts they miss.
        with workload.counting(), torch.inference_mode(False), torch.no_grad():
            cost = count_cost(lambda: workload.step(plan.warm_up + 2 * plan.frames))
        waits = count_waits(lambda: workload.step(plan.warm_up + 2 * plan.frames + 1))
    median = statistics.median(wall)
    frames_per_second = plan.batch / median
    least = roofline.least_seconds(cost.flops, cost.moved_bytes)
    return {
        'name': workload.name,
        'note': workload.note,
        'seconds': {'median': median, 'min': min(wall), 'max': max(wall)},
        'cpu_seconds': {'median': statistics.median(cpu), 'min': min(cpu), 'max': max(cpu)},
        'frames_per_second': frames_per_second,
        'frames_per_second_in_a_row': in_a_row,
        'found': statistics.mean(counts) if counts else None,
        'parts': parts,
        'peak_mib': peak / 2**20,
        'gflops': cost.flops / 1e9,
        'moved_gib': cost.moved_bytes / 2**30,
        'share_of_roofline': least / median,
        'waits': dict(waits),
    }


def precision(plan: Plan) -> AbstractContextManager[None]:
    """Autocast to the plan's precision."""
    dtype = DTYPES[plan.dtype]
    half = dtype is not torch.float32
    return torch.autocast(plan.device.type, dtype=dtype if half else None, enabled=half)


def measure_in_turns(workloads: Sequence[Workload], plan: Plan) -> list[Took]:
    """Times of workloads that stand beside each other, for ratios: a frame of each in turns.

    Raises:
        UserError: If memory runs out.
    """
    names = ', '.join(workload.name for workload in workloads)
    fits = telling_what_fits(names, plan.size)
    with fits, torch.inference_mode(), precision(plan):
        for workload in workloads:
            workload.reset()
            for index in range(plan.warm_up):
                workload.step(index)
        return in_turns(workloads, plan.device, plan.frames, plan.warm_up)


def in_turns(
    workloads: Sequence[Workload], device: torch.device, frames: int, first: int = 0
) -> list[Took]:
    """Median times of a step of each, which follow one after the other.

    Every second time they go in the opposite order.

    Args:
        workloads: What is done.
        device: Whose work is waited for.
        frames: Steps of each.
        first: Number of the first one.
    """
    times: list[list[Took]] = [[] for _ in workloads]
    order = list(range(len(workloads)))
    for index in range(first, first + frames):
        for place in order:
            times[place].append(timed(workloads[place], device, index)[0])
        order.reverse()
    return [Took(*map(statistics.median, zip(*of_one, strict=True))) for of_one in times]


def timed(workload: Workload, device: torch.device, index: int) -> tuple[Took, Any]:
    """How long a step takes, and its answer."""
    synchronize(device)
    begin, cpu_begin = time.perf_counter(), time.process_time()
    answer = workload.step(index)
    synchronize(device)
    return Took(time.perf_counter() - begin, time.process_time() - cpu_begin), answer


def _end_to_end(workload: Workload, plan: Plan) -> tuple[list[float], list[float], list[int], int]:
    """Seconds, processor seconds and counts of each step, and peak memory, warm-up included."""
    wall, cpu, counts = [], [], []
    release_memory()
    with MemoryMeter(plan.device) as memory:
        for index in range(plan.warm_up):
            workload.step(index)
        for index in range(plan.frames):
            took, answer = timed(workload, plan.device, plan.warm_up + index)
            wall.append(took.wall)
            cpu.append(took.cpu)
            if workload.count is not None:
                counts.append(workload.count(answer))
            del answer  # which the next step would find in memory
    return wall, cpu, counts, memory.peak_bytes


def _in_a_row(workload: Workload, plan: Plan) -> float | None:
    """Frames per second where nothing but the answers is waited for, in their order."""
    if workload.in_a_row is None:
        return None
    # The last answer that counts is given out after another frame was begun.
    with closing(workload.in_a_row(plan.warm_up + plan.frames + 2)) as answers:
        for _ in range(plan.warm_up + 1):
            next(answers)
        begin = time.perf_counter()
        for _ in range(plan.frames):
            next(answers)
        return plan.frames / (time.perf_counter() - begin)


def _by_part(workload: Workload, plan: Plan) -> dict[str, dict[str, float]]:
    """Mean seconds per step of each part."""
    watch = Stopwatch(plan.device)
    with watch.watching(workload.parts):
        for index in range(plan.frames):
            with watch.running('post-process and rest'):
                workload.step(plan.warm_up + plan.frames + index)
    return {
        name: {
            'seconds': watch.seconds[name] / plan.frames,
            'cpu_seconds': watch.cpu_seconds[name] / plan.frames,
        }
        for name in watch.seconds
    }
