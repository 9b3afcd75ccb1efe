"""What made the models fast, each step beside what it replaced, with both answers compared."""

from __future__ import annotations

import copy
from collections.abc import Iterator

from seg.benchmark.answer_steps import panoptic_steps, video_steps
from seg.benchmark.bench_step import Bench, Step
from seg.benchmark.memory_steps import memory_steps
from seg.benchmark.network_steps import (
    backbone_steps,
    compiled_step,
    decoder_steps,
    graphed_step,
    precision_steps,
)
from seg.models.deployment import fuse


def steps(bench: Bench) -> Iterator[Step]:
    """All steps that the device knows, each only built when it is its turn."""
    fused = fuse(copy.deepcopy(bench.large))
    yield from backbone_steps(bench, fused)
    yield from decoder_steps(bench, fused)
    yield from panoptic_steps(bench, fused)
    yield from video_steps(bench)
    yield from memory_steps(bench)
    yield from precision_steps(bench, fused)
    if bench.device.type == 'cuda':
        yield graphed_step(bench, fused)
    if bench.compiles:
        yield compiled_step(bench, fused)
