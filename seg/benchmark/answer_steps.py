"""Steps that made maps of pictures and masks of videos fast."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from seg.apis import VideoPredictor
from seg.apis.read_ahead import read_ahead
from seg.apis.video_sources import open_video
from seg.benchmark.bench_step import Bench, Step, inputs_of
from seg.benchmark.plain_fusion import INSTANCE_OFFSET, plain_panoptic
from seg.benchmark.workloads import (
    Size,
    Workload,
    as_clip,
    for_programs,
    keep_best,
    panoptic_sample,
    video_workload,
)
from seg.models.decoders import FrameSharpener
from seg.structures import Prompts, Task
from seg.utils.devices import as_if_ahead
from seg.utils.drawn_frames import draw_frame
from seg.visualization.video_writer import VideoWriter

NUM_KEPT = 16
_CLIP_FRAMES = 24


def panoptic_steps(bench: Bench, fused: Any) -> Iterator[Step]:
    """Panoptic maps.

    Args:
        bench: What is measured on.
        fused: Its large model, folded; thresholds are set so that 16 queries are kept.
    """
    frame = draw_frame(0, 4, bench.size)[0]
    keep_best(fused, as_clip(frame), NUM_KEPT)
    head, sample = fused.head, panoptic_sample(bench.size)
    inputs = inputs_of(bench.large, frame)
    canvas = int(inputs.shape[-2]), int(inputs.shape[-1])
    with torch.inference_mode():
        features = fused.extract_feat(inputs)
        output = head(*features, head.router.routes[Task.PANOPTIC])[-1]
        classes, masks = output.class_logits[0], output.mask_logits[0]
    sample.set_metainfo(dict(batch_input_shape=canvas))
    sizes = head.picture_sizes(sample, features.mask_features[0])
    num_classes = classes.shape[-1] - 1

    def plain() -> Tensor:
        found = plain_panoptic(
            classes,
            masks[:, 0],
            num_things=head.num_things,
            canvas=canvas,
            img_shape=bench.size,
            ori_shape=bench.size,
            object_mask_thr=head.fusion.object_mask_thr,
            iou_thr=head.fusion.iou_thr,
        )
        return found % INSTANCE_OFFSET

    def fast() -> Any:
        return head.fusion.find(classes, masks, sizes).data

    scores, labels = classes.softmax(dim=-1).max(dim=-1)
    is_kept = (labels < num_classes) & (scores > head.fusion.object_mask_thr)

    def all_masks() -> Any:
        return head.fusion.panoptic(masks, scores.where(is_kept, 0), labels, sizes)

    def ahead() -> Any:
        with as_if_ahead():
            return fast()

    def share_of_other_classes(first: Tensor, second: Any) -> float:
        labels = [num_classes, *(segment.label for segment in second.segments)]
        of_segment = torch.tensor(labels, device=first.device)
        return float((of_segment[second.segment_map[0].long()] != first).float().mean())

    def share_of_other_segments(first: Any, second: Any) -> float:
        return float((first.segment_map != second.segment_map).float().mean())

    if sizes['sharpen'] is None:
        yield Step(
            'bands',
            'panoptic map in bands of rows, of kept masks alone, without loops over segments',
            plain,
            fast,
            alike=share_of_other_classes,
        )
    if bench.device.type == 'cpu':
        yield Step(
            'kept',
            'kept masks alone are enlarged',
            all_masks,
            fast,
            alike=share_of_other_segments,
        )
        yield Step(
            'one_wait_panoptic',
            'panoptic waits once for a device: what a CPU computes more, as a GPU would',
            fast,
            ahead,
            alike=share_of_other_segments,
        )


def video_steps(bench: Bench) -> Iterator[Step]:
    """Frames of videos, by the small model."""
    if bench.device.type == 'cpu':
        usual, ahead = (video_workload(bench.small, bench.size, 1, Task.VOS) for _ in range(2))
        usual.reset()
        ahead.reset()
        yield Step(
            'one_wait_vos',
            'a followed frame waits once for a device: what a CPU computes more, as a GPU would',
            _stepper(usual),
            _stepper(ahead, as_if_ahead),
            alike=lambda first, second: float((first.masks != second.masks).mean()),
        )
        yield _divided_step(bench)
    path, size = bench.folder / 'clip.mp4', _even(bench.size)
    with VideoWriter(path) as writer:
        for index in range(_CLIP_FRAMES):
            writer.write(draw_frame(index, 1, size)[0])
    source = open_video(path)
    predictor = VideoPredictor(for_programs(bench.small, size))
    mask = torch.from_numpy(draw_frame(0, 1, size)[1] == 1)[None]
    prompts = Prompts.create(masks=mask)

    def follow(reads: Any) -> list[np.ndarray]:
        session = predictor.start(*size, task=Task.VOS)
        session.add_rows(prompts)
        return [session.step(read.image).masks for read in reads]

    yield Step(
        'read_ahead',
        f'{_CLIP_FRAMES} frames of a video file, decoded while earlier ones are worked on',
        lambda: follow(source.forwards()),
        lambda: follow(read_ahead(source.forwards())),
        is_elapsed=True,
        alike=_share_of_other_pixels,
    )
    if bench.device.type == 'cuda':
        yield Step(
            'overlapped',
            f'{_CLIP_FRAMES} frames of a video file, uploaded, followed and taken at once',
            lambda: follow(read_ahead(source.forwards())),
            lambda: [r.masks for r in predictor.propagate(source, prompts=prompts, task=Task.VOS)],
            is_elapsed=True,
            alike=_share_of_other_pixels,
        )


def _divided_step(bench: Bench) -> Step:
    """A disc as large as one followed object of the benchmark."""
    image, ids = draw_frame(0, 1, bench.size)
    with torch.inference_mode():
        features = bench.small.extract_feat(inputs_of(bench.small, image)).mask_features[0]
    height, width = features.shape[-2:]
    shares = F.interpolate(torch.from_numpy(ids)[None, None].float(), (height, width), mode='area')
    logits, upsampler = 16 * shares - 8, bench.small.head.mask_upsampler
    return Step(
        'divided',
        'cells of the mask of one followed object divided along its outline, small model',
        lambda: FrameSharpener(upsampler, features)(logits),
        lambda: FrameSharpener(upsampler, features).near_outlines(logits),
        alike=lambda first, second: float(((first > 0) != (second > 0)).float().mean()),
    )


def _even(size: Size) -> Size:
    """A size that a video file can have."""
    return size[0] // 2 * 2, size[1] // 2 * 2


def _share_of_other_pixels(first: list[np.ndarray], second: list[np.ndarray]) -> float:
    return float((np.stack(first) != np.stack(second)).mean())


def _stepper(
    load: Workload, way: Callable[[], AbstractContextManager[None]] = nullcontext
) -> Callable[[], Any]:
    """Goes on by a frame whenever it is called."""
    frames = iter(range(1 << 20))

    def step() -> Any:
        with way():
            return load.step(next(frames))

    return step
