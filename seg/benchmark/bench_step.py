"""A step that makes a model fast beside what it replaced, and how both are measured."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from seg.apis.overlapped import Upload
from seg.benchmark.machine import synchronize
from seg.benchmark.workloads import Size, panoptic_sample
from seg.structures import Task
from seg.utils.devices import device_of
from seg.utils.drawn_frames import draw_frame


@dataclass
class Bench:
    """What steps are measured on.

    Attributes:
        device: Where.
        size: (H, W) of frames.
        large: A RapSAM whose normalisations are not folded.
        small: One with a memory, folded, whose config has test data.
        folder: For files.
        compiles: Whether compiling, which takes minutes, is measured as well.
    """

    device: torch.device
    size: Size
    large: Any
    small: Any
    folder: Path
    compiles: bool = False


class Step(NamedTuple):
    """A way of computing something, and the plain way that it replaced.

    Attributes:
        name: Key in tables.
        text: What it is.
        plain: Computes it plainly.
        fast: Computes it fast.
        is_elapsed: Whether elapsed time counts on a CPU, too, as two things go on at once.
        alike: Difference of the two answers, 0 if they are equal: a share of pixels. When left
            out, the largest difference of values, of the largest value.
    """

    name: str
    text: str
    plain: Callable[[], Any]
    fast: Callable[[], Any]
    is_elapsed: bool = False
    alike: Callable[[Any, Any], float] | None = None


@torch.inference_mode()
def measure_step(step: Step, device: torch.device, repeats: int) -> dict[str, Any]:
    """Medians of both ways, which take turns, after a run of each that does not count.

    On a CPU processor time counts, of all threads, or elapsed time if the step is about that; on
    a GPU elapsed time.
    """
    clock = time.process_time
    if step.is_elapsed or device.type != 'cpu':
        clock = time.perf_counter
    first, second = step.plain(), step.fast()
    difference = (step.alike or _largest_difference)(first, second)
    del first, second
    seconds: dict[str, list[float]] = {'plain': [], 'fast': []}
    for _ in range(repeats):
        for name, run in (('plain', step.plain), ('fast', step.fast)):
            synchronize(device)
            begin = clock()
            run()
            synchronize(device)
            seconds[name].append(clock() - begin)
    plain, fast = (statistics.median(seconds[name]) for name in ('plain', 'fast'))
    return {
        'name': step.name,
        'text': step.text,
        'plain_ms': 1000 * plain,
        'fast_ms': 1000 * fast,
        'gain': plain / fast,
        'difference': difference,
    }


def _largest_difference(first: Tensor, second: Tensor) -> float:
    first, second = first.float(), second.float()
    return float((first - second).abs().max() / first.abs().max().clamp(min=1e-12))


def inputs_of(model: Any, frame: np.ndarray) -> Tensor:
    """A frame as the network of a model reads it, (1, 1, 3, H, W)."""
    pixels = Upload(frame, device_of(model)).pixels()
    sample = panoptic_sample((frame.shape[0], frame.shape[1]))
    batch = dict(inputs=[pixels.permute(2, 0, 1)[None]], data_samples=[sample])
    return model.data_preprocessor(batch, False)['inputs']


def network_of(bench: Bench, model: Any) -> Callable[[], Tensor]:
    """Mask logits of what a model finds in a frame."""
    inputs = inputs_of(bench.large, draw_frame(0, 4, bench.size)[0])
    route = model.head.router.routes[Task.PANOPTIC]
    return lambda: model.head(*model.extract_feat(inputs), route)[-1].mask_logits
