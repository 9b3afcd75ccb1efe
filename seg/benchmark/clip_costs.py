"""What following an object costs beside finding everything, on clips in which things happen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch

from seg.apis import VideoPredictor
from seg.benchmark.machine import synchronize
from seg.benchmark.workloads import (
    Size,
    as_clip,
    find_segments,
    for_programs,
    keep_best,
)
from seg.datasets.shapes import ShapesSample, ShapesWorld
from seg.structures import Prompts, Task
from seg.utils.checks import UserError
from seg.utils.devices import device_of

NUM_FRAMES = 24
_NUM_KEPT = 16  # queries that become segments
_LEAST_SHARE = 0.002  # of the picture that a thing shows at first


class FrameCost(NamedTuple):
    """What one frame of a clip took; processor seconds of all threads, elapsed ones on a GPU.

    Attributes:
        panoptic: For the masks of all segments.
        vos: For following one object.
        is_anew: Whether memory was unsure of the object, which was found anew.
    """

    panoptic: float
    vos: float
    is_anew: bool


@torch.inference_mode()
def clip_costs(
    model: Any, size: Size, num_clips: int, *, num_frames: int = NUM_FRAMES, seed: int = 0
) -> Iterator[list[FrameCost]]:
    """Both tasks on all frames but the first of clips of Shapes, in turns.

    Each clip has one object, which is given by its mask on the first frame: one of the things to
    be seen there, chosen by chance.

    Args:
        model: A RapSAM with a memory, ready for inference.
        size: (H, W) of the frames.
        num_clips: How many.
        num_frames: Frames of each.
        seed: Of the validation world and of the choice.

    Yields:
        The costs of the frames of a clip.

    Raises:
        UserError: If no thing is to be seen on the first frame of a clip, as may be where frames
            are long and narrow.
    """
    world, rng = ShapesWorld(seed=2 * seed + 1, size=size), np.random.default_rng(seed)
    predictor = VideoPredictor(for_programs(model, size))
    model.head.fusion.max_per_image = 0  # segments alone
    for index in range(num_clips):
        clip = world.clip(index, num_frames)
        keep_best(model, as_clip(clip.clip[0]), _NUM_KEPT)
        yield list(_frame_costs(predictor, clip.clip, _followed(clip, rng)))


def summary(clips: Sequence[Sequence[FrameCost]]) -> dict[str, Any]:
    """Figures of some clips, for JSON: means per frame, ratios of sums, how many were found anew.

    Ratios are ``None`` where there are no such frames.
    """
    costs = [cost for clip in clips for cost in clip]
    return {
        'frames': len(costs),
        'share_anew': float(np.mean([cost.is_anew for cost in costs])),
        'panoptic_seconds': float(np.mean([cost.panoptic for cost in costs])),
        'vos_seconds': float(np.mean([cost.vos for cost in costs])),
        'ratio': _ratio(costs),
        'ratio_sure': _ratio([cost for cost in costs if not cost.is_anew]),
        'ratio_anew': _ratio([cost for cost in costs if cost.is_anew]),
        'ratio_by_clip': [_ratio(clip) for clip in clips],
    }


def _ratio(costs: Sequence[FrameCost]) -> float | None:
    if not costs:
        return None
    return sum(cost.vos for cost in costs) / sum(cost.panoptic for cost in costs)


def _followed(clip: ShapesSample, rng: np.random.Generator) -> np.ndarray:
    """Mask of one of the things that the first frame shows well enough, (H, W), bool.

    Where there is none, that of the largest.
    """
    frame = clip.segment_map[0]
    areas = clip.visible_areas[:, 0] * clip.is_thing
    if not areas.any():
        raise UserError(
            f'--size: expected frames on which things can be seen, got {frame.shape[0]}x'
            f'{frame.shape[1]} and a clip that begins without any; choose another size or seed'
        )
    large = np.flatnonzero(areas > _LEAST_SHARE * frame.size)
    mask: np.ndarray = frame == 1 + (rng.choice(large) if len(large) else areas.argmax())
    return mask


def _frame_costs(
    predictor: VideoPredictor, frames: np.ndarray, mask: np.ndarray
) -> Iterator[FrameCost]:
    """Both tasks on each frame but the first; every second time in the opposite order."""
    session = predictor.start(mask.shape[0], mask.shape[1], task=Task.VOS)
    session.add_rows(Prompts.create(masks=torch.from_numpy(mask)[None]))
    session.step(frames[0])
    device = device_of(predictor.model)
    for index, image in enumerate(frames[1:]):
        segments = partial(find_segments, predictor.model, [as_clip(image)])
        follow = partial(session.step, image)
        if index % 2:
            vos, panoptic = _seconds(follow, device), _seconds(segments, device)
        else:
            panoptic, vos = _seconds(segments, device), _seconds(follow, device)
        yield FrameCost(panoptic, vos, bool(session.doubted_ids))


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    clock = time.process_time if device.type == 'cpu' else time.perf_counter
    synchronize(device)
    begin = clock()
    work()
    synchronize(device)
    return clock() - begin
