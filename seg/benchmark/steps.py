"""What made the models fast, each step beside what it replaced, with both answers compared."""

from __future__ import annotations

import copy
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import deform_conv2d

from seg.apis import VideoPredictor
from seg.apis.overlapped import Upload
from seg.apis.read_ahead import read_ahead
from seg.apis.video_sources import open_video
from seg.benchmark.machine import synchronize
from seg.benchmark.plain_fusion import INSTANCE_OFFSET, plain_panoptic
from seg.benchmark.workloads import (
    Size,
    Workload,
    as_clip,
    draw_frame,
    for_programs,
    keep_best,
    panoptic_sample,
    video_workload,
)
from seg.models.decoders.layers import attend
from seg.models.decoders.pooling import HardMaskSumPooling, draw_masks
from seg.models.deployment import compile_parts, fuse, graph_features
from seg.models.necks.deform_conv import ModulatedDeformConv
from seg.models.prompts.positional import sine_grid
from seg.structures import Prompts, Task
from seg.utils.devices import as_if_ahead
from seg.visualization.video_writer import VideoWriter

NUM_KEPT = 16
_CLIP_FRAMES = 24


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


def steps(bench: Bench) -> Iterator[Step]:
    """All steps that the device knows, each only built when it is its turn."""
    fused = fuse(copy.deepcopy(bench.large))
    yield from _of_the_backbone(bench, fused)
    yield from _of_the_decoder(bench, fused)
    yield from _of_panoptic(bench, fused)
    yield from _of_videos(bench)
    yield from _of_precision(bench, fused)
    if bench.device.type == 'cuda':
        yield _graphed(bench, fused)
    if bench.compiles:
        yield _compiled(bench, fused)


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


def _of_the_backbone(bench: Bench, fused: Any) -> Iterator[Step]:
    frame = draw_frame(0, 4, bench.size)[0]
    preprocessor = bench.large.data_preprocessor
    yield Step(
        'bytes',
        'frames go to the device as bytes, and are normalised and padded there',
        lambda: _floats_of(frame, preprocessor).to(bench.device),
        lambda: _inputs(bench, frame),
    )
    images = _inputs(bench, frame).flatten(0, 1).contiguous(memory_format=torch.channels_last)
    yield Step(
        'folded',
        'normalisations folded, backbone',
        lambda: bench.large.backbone(images)[-1],
        lambda: fused.backbone(images)[-1],
    )
    planes = copy.deepcopy(fused.backbone).to(memory_format=torch.contiguous_format)
    yield Step(
        'channels_last',
        'channels beside each other in memory, backbone',
        lambda: planes(images.contiguous())[-1],
        lambda: fused.backbone(images)[-1],
    )
    taken = _input_of(fused, ModulatedDeformConv, images)
    if taken is not None and bench.device.type == 'cpu':  # else the operator is what is used
        conv, x = taken
        yield Step(
            'deformable',
            'deformable convolution as sums of rows of channels and a 1x1 convolution',
            lambda: _operator(conv, x),
            lambda: conv(x),
        )


def _floats_of(frame: np.ndarray, preprocessor: Any) -> Tensor:
    """A frame normalised and padded by NumPy, (1, 1, 3, H, W)."""
    mean, std = (value.flatten().cpu().numpy() for value in (preprocessor.mean, preprocessor.std))
    values = ((frame.astype(np.float32) - mean) / std).transpose(2, 0, 1)
    below, right = (-side % preprocessor.pad_divisor for side in frame.shape[:2])
    return torch.from_numpy(np.pad(values, ((0, 0), (0, below), (0, right)))[None, None])


def _inputs(bench: Bench, frame: np.ndarray) -> Tensor:
    """A frame as the network reads it, (1, 1, 3, H, W)."""
    pixels = Upload(frame, bench.device).pixels()
    sample = panoptic_sample((frame.shape[0], frame.shape[1]))
    batch = dict(inputs=[pixels.permute(2, 0, 1)[None]], data_samples=[sample])
    return bench.large.data_preprocessor(batch, False)['inputs']


def _input_of(model: Any, kind: type[nn.Module], images: Tensor) -> tuple[Any, Tensor] | None:
    """The first layer of a kind in a neck, and what it reads."""
    layers = [module for module in model.neck.modules() if isinstance(module, kind)]
    if not layers:
        return None
    taken: list[Tensor] = []
    handle = layers[0].register_forward_pre_hook(lambda _, inputs: taken.append(inputs[0]))
    with torch.inference_mode():
        model.neck(model.backbone(images))
    handle.remove()
    return layers[0], taken[0]


def _operator(conv: ModulatedDeformConv, x: Tensor) -> Tensor:
    """The same by torchvision's operator."""
    offsets, weights = conv.offset_conv(x).split([18, 9], dim=1)
    return deform_conv2d(x, offsets, conv.weight, conv.bias, padding=1, mask=weights.sigmoid())


def _of_the_decoder(bench: Bench, fused: Any) -> Iterator[Step]:
    frame = draw_frame(0, 4, bench.size)[0]
    with torch.inference_mode():
        features = fused.extract_feat(_inputs(bench, frame)).mask_features
        kernels = fused.head.object_queries.weight[None]
        logits = draw_masks(kernels, features)
    yield Step(
        'drawn',
        'masks drawn by a convolution with queries as filters',
        lambda: torch.einsum('bqc,btchw->bqthw', kernels, features),
        lambda: draw_masks(kernels, features),
    )
    network, classify = _network(bench, fused), fused.head._classify

    def last_classes_alone(prediction: Any, *, final: bool) -> Any:
        return classify(
            prediction if final else prediction._replace(class_embeddings=None), final=final
        )

    def without_classes() -> Tensor:
        with mock.patch.object(fused.head, '_classify', last_classes_alone):
            return network()

    yield Step(
        'classes', 'class logits of the last stage alone (not done)', network, without_classes
    )
    pooling = HardMaskSumPooling()
    yield Step(
        'pooled',
        'features under masks by batched products',
        lambda: torch.einsum('bqthw,btchw->bqc', (logits > 0).float(), features),
        lambda: pooling(logits, features),
    )
    _, _, channels, height, width = features.shape
    grid = height, width, channels, bench.device
    make = sine_grid.__wrapped__  # type: ignore[attr-defined]
    yield Step(
        'grids', 'grids of positions made once', lambda: make(*grid), lambda: sine_grid(*grid)
    )
    attn = nn.MultiheadAttention(channels, 8, batch_first=True).to(bench.device).eval()
    pixels = features[:, 0].flatten(2).transpose(1, 2).contiguous()
    query = kernels[:, :1]
    yield Step(
        'attend',
        'one query reads all pixels without keys and values of them',
        lambda: attn(query, pixels, pixels, need_weights=False)[0],
        lambda: attend(attn, query, pixels),
    )


def _of_panoptic(bench: Bench, fused: Any) -> Iterator[Step]:
    frame = draw_frame(0, 4, bench.size)[0]
    keep_best(fused, as_clip(frame), NUM_KEPT)
    head, sample = fused.head, panoptic_sample(bench.size)
    inputs = _inputs(bench, frame)
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


def _of_videos(bench: Bench) -> Iterator[Step]:
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


def _of_precision(bench: Bench, fused: Any) -> Iterator[Step]:
    network = _network(bench, fused)

    def halved() -> Tensor:
        with torch.autocast(bench.device.type, torch.bfloat16):
            return network()

    yield Step(
        'bf16',
        'the network in bfloat16, masks in float32',
        network,
        halved,
        alike=lambda first, second: float(((first > 0) != (second > 0)).float().mean()),
    )


def _network(bench: Bench, model: Any) -> Callable[[], Tensor]:
    """Mask logits of what a model finds in a frame."""
    inputs = _inputs(bench, draw_frame(0, 4, bench.size)[0])
    route = model.head.router.routes[Task.PANOPTIC]
    return lambda: model.head(*model.extract_feat(inputs), route)[-1].mask_logits


def _compiled(bench: Bench, fused: Any) -> Step:
    compiled = copy.deepcopy(fused)
    compile_parts(compiled, _inputs(bench, draw_frame(0, 4, bench.size)[0]))
    return Step(
        'compiled', 'the network compiled', _network(bench, fused), _network(bench, compiled)
    )


def _graphed(bench: Bench, fused: Any) -> Step:
    graphed = copy.deepcopy(fused)
    graph_features(graphed, _inputs(bench, draw_frame(0, 4, bench.size)[0]))
    return Step(
        'graphed',
        'backbone, neck and colours as a CUDA graph',
        _network(bench, fused),
        _network(bench, graphed),
    )
