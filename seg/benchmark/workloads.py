"""What is measured: one frame of a task, from decoded pixels to boolean masks."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import Tensor

from seg.apis import ImagePredictor, VideoPredictor
from seg.apis.frame_result import FrameResult
from seg.apis.video_sources import ArraySource
from seg.benchmark.meters import Part
from seg.models.deployment.graphing import FeatureGraph
from seg.models.detectors.rapsam import RapSAM
from seg.structures import ClipSample, PanopticData, Prompts, Task
from seg.utils.checks import UserError
from seg.utils.drawn_frames import draw_frame

Size = tuple[int, int]


@dataclass
class Workload:
    """Something that can be done again and again.

    Attributes:
        name: What it is called in tables.
        step: Does it once, with the number of the frame.
        parts: Where its time goes; the rest is post-processing and what lies between.
        reset: Brings it back to the beginning.
        note: What a reader has to know.
        counting: In which operators can be counted, those of a graph as well.
        in_a_row: Does it so many times as a program does that only takes the answers in order;
            some kinds of work then overlap on a GPU.
        count: How many segments, or objects in sight, an answer has.
        less: The same with less to do, by what a user would change, the nearest first; for those
            whose memory runs out.
    """

    name: str
    step: Callable[[int], object]
    parts: Sequence[Part] = ()
    reset: Callable[[], None] = field(default=lambda: None)
    note: str = ''
    counting: Callable[[], AbstractContextManager[None]] = nullcontext
    in_a_row: Callable[[int], Generator[object, None, None]] | None = None
    count: Callable[[Any], int] | None = None
    less: Mapping[str, Callable[[], Workload]] = field(default_factory=dict)


def _with_less(
    build: Callable[[Size, int, int], Workload], size: Size, batch: int, num_objects: int
) -> dict[str, Callable[[], Workload]]:
    """What a workload of a size, batch and number of objects is with less of one of them."""
    less: dict[str, Callable[[], Workload]] = {}
    if batch > 1:
        less['--batch 1'] = lambda: build(size, 1, num_objects)
    if num_objects > 1:
        less['--objects 1'] = lambda: build(size, batch, 1)
    for part in (2, 4, 8):
        smaller = max(1, size[0] // part), max(1, size[1] // part)
        less[f'--size {smaller[0]}x{smaller[1]}'] = partial(build, smaller, batch, num_objects)
    return less


def for_programs(model: Any, size: Sequence[int]) -> Any:
    """The model with a pipeline that brings frames to this size, with their aspect kept."""
    pipeline = [dict(type='TestResize', scale=tuple(size)), dict(type='PackClip')]
    model.cfg = Config(dict(test_dataloader=dict(dataset=dict(pipeline=pipeline))))
    model.entry = None
    return model


def panoptic_workload(
    model: Any, size: Size, batch: int, num_kept: int, name: str = 'RapSAM'
) -> Workload:
    """Everything in a frame, as boolean masks of segments.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`.
        size: (H, W).
        batch: Frames per step.
        num_kept: Queries that become segments, whatever the weights say; decides how many masks
            are enlarged.
        name: Of the workload.
    """
    frames = [as_clip(draw_frame(i, 4, size)[0]) for i in range(4)]

    def reset() -> None:
        model.head.fusion.max_per_image = 0  # segments alone
        keep_best(model, frames[0], num_kept)

    def step(index: int) -> list[Tensor]:
        return find_segments(model, [frames[(index + i) % len(frames)] for i in range(batch)])

    return Workload(
        name,
        step,
        rapsam_parts(model),
        reset,
        counting=without_graph(model),
        count=lambda found: sum(map(len, found)),
        less=_with_less(partial(panoptic_workload, model, name=name), size, batch, num_kept),
    )


@torch.inference_mode()
def keep_best(model: Any, clip: Tensor, num_kept: int) -> None:
    """Set the thresholds of a model so that about ``num_kept`` queries become segments.

    A segment may keep any share of its own mask, as random masks lie over each other.
    """
    sample = panoptic_sample((clip.shape[-2], clip.shape[-1]))
    data = model.data_preprocessor(dict(inputs=[clip], data_samples=[sample]), False)
    features = model.extract_feat(data['inputs'])
    logits = model.head(*features, model.head.router.routes[Task.PANOPTIC])[-1].class_logits
    model.head.fusion.object_mask_thr = threshold_for(logits[0], num_kept)
    model.head.fusion.iou_thr = 0.0


def threshold_for(class_logits: Tensor, num_kept: int) -> float:
    """Score above which the classes (Q, K + 1) of about ``num_kept`` queries are."""
    scores, labels = class_logits.float().softmax(dim=-1).max(dim=-1)
    found = scores[labels < class_logits.shape[-1] - 1].sort(descending=True).values
    if len(found) <= num_kept:
        return 0.0
    return float(found[num_kept - 1 : num_kept + 1].mean())


def interactive_workload(
    model: Any,
    size: Size,
    num_objects: int,
    work: str,
    name: str = 'RapSAM',
    *,
    encoded: tuple[int, int] | None = None,
) -> Workload:
    """Clicks on a frame.

    Args:
        model: Answers prompts.
        size: (H, W).
        num_objects: Clicks, one per object.
        work: ``'encode'`` (``set_image``), ``'click'`` (ask about an encoded frame) or ``'both'``.
        name: Of the workload.
        encoded: Size that frames are brought to before; that of the frames when left out.
    """
    predictor = ImagePredictor(for_programs(model, encoded or size))
    images = [draw_frame(i, num_objects, size)[0] for i in range(4)]
    ids = draw_frame(0, num_objects, size)[1]
    points = [[_middle(ids == k + 1)] for k in range(num_objects)]

    def step(index: int) -> object:
        if work != 'click':
            predictor.set_image(images[index % len(images)])
        return None if work == 'encode' else predictor.predict(points=points)

    return Workload(
        name,
        step,
        rapsam_parts(model) if isinstance(model, RapSAM) else sam_parts(model),
        lambda: predictor.set_image(images[0]),
        counting=without_graph(model),
        less=_with_less(
            lambda smaller, _, count: interactive_workload(
                model, smaller, count, work, name, encoded=encoded
            ),
            size,
            1,
            num_objects,
        ),
    )


def video_workload(
    model: Any,
    size: Size,
    num_objects: int,
    task: Task,
    name: str = 'RapSAM',
    *,
    always_again: bool = False,
) -> Workload:
    """Objects followed through a video.

    Args:
        model: A RapSAM with a memory.
        size: (H, W).
        num_objects: Given on the first frame, by masks in vos, by clicks otherwise.
        task: vos or interactive_video.
        name: Of the workload.
        always_again: Whether all objects are looked for anew in every frame, the most that a frame
            can cost; otherwise those that the memory is unsure of, as always.
    """
    predictor = VideoPredictor(for_programs(model, size))
    sessions: list[Any] = []

    frames = [draw_frame(i, num_objects, size)[0] for i in range(16)]
    ids = draw_frame(0, num_objects, size)[1]
    masks = [ids == k + 1 for k in range(num_objects)]
    if task is Task.VOS:
        prompts = Prompts.create(masks=torch.from_numpy(np.stack(masks)))
    else:
        prompts = Prompts.create(points=torch.tensor([[_middle(mask)] for mask in masks]))

    def reset() -> None:
        sessions[:] = [predictor.start(*size, task=task)]
        sessions[0].add_rows(prompts)

    def step(index: int) -> FrameResult:
        with _looking_again(model.head.dual_path, always_again):
            return sessions[0].step(frames[index % len(frames)])

    def in_a_row(count: int) -> Generator[object, None, None]:
        video = ArraySource([frames[i % len(frames)] for i in range(count)])
        with _looking_again(model.head.dual_path, always_again):
            yield from predictor.propagate(video, prompts=prompts, task=task)

    memory = model.head.memory
    parts = [
        *rapsam_parts(model),
        Part('memory read', memory, 'encode'),
        Part('memory read', memory, 'read'),
        Part('memory read', memory, 'find_again'),
        Part('memory write', memory, 'write'),
    ]
    return Workload(
        name,
        step,
        parts,
        reset,
        counting=without_graph(model),
        in_a_row=in_a_row,
        count=lambda result: int(result.visible.sum()),
        less=_with_less(
            lambda smaller, _, count: video_workload(
                model, smaller, count, task, name, always_again=always_again
            ),
            size,
            1,
            num_objects,
        ),
    )


@contextmanager
def _looking_again(dual_path: Any, always: bool) -> Iterator[None]:
    """Have no memory be sure of anything for a while, if that is wanted and looked at."""
    if not always or dual_path is None:
        yield
        return
    certain, dual_path.certain = dual_path.certain, 1.0
    try:
        yield
    finally:
        dual_path.certain = certain


def rapsam_parts(model: Any) -> list[Part]:
    """Preprocessing, backbone, neck and decoder of a RapSAM; a graph is one part."""
    encoder = [
        Part('backbone', model.backbone, _call_of(model.backbone)),
        Part('neck', model.neck, _call_of(model.neck)),
    ]
    if isinstance(model.extract_feat, FeatureGraph):
        encoder = [Part('backbone and neck', model, 'extract_feat')]
    return [
        Part('preprocess', model.data_preprocessor, 'forward'),
        *encoder,
        Part('decoder', model.head, 'forward'),
    ]


def sam_parts(model: Any) -> list[Part]:
    """The same of a SAM or EfficientSAM, whose image encoder is the backbone."""
    return [
        Part('preprocess', model.data_preprocessor, 'forward'),
        Part('backbone', model.image_encoder, 'forward'),
        Part('decoder', model, 'decode_prompts'),
    ]


def without_graph(model: Any) -> Callable[[], AbstractContextManager[None]]:
    """What makes a model go without its graph for a while, if it has one."""
    features = getattr(model, 'extract_feat', None)
    return features.paused if isinstance(features, FeatureGraph) else nullcontext


def _call_of(module: Any) -> str:
    """The method to watch; what looks into a compiled module would compile it anew."""
    is_compiled = getattr(module, '_compiled_call_impl', None) is not None
    return '_compiled_call_impl' if is_compiled else 'forward'


def check_memory(model: Any, task: Task) -> None:
    """Refuse to follow objects with a model that cannot.

    Raises:
        UserError: If it has no memory.
    """
    if getattr(getattr(model, 'head', None), 'memory', None) is None:
        raise UserError(
            f'task {task}: expected a config with a streaming memory, such as '
            'configs/rap_sam/rap_sam_nano_shapes.py, got one without'
        )


def find_segments(model: Any, clips: Sequence[Tensor]) -> list[Tensor]:
    """Boolean masks (N, H, W) of all segments of clips of one frame, (1, 3, H, W) each, uint8."""
    samples = [panoptic_sample((clip.shape[-2], clip.shape[-1])) for clip in clips]
    data = model.data_preprocessor(dict(inputs=list(clips), data_samples=samples), False)
    found = model.predict(data['inputs'], data['data_samples'])
    return [segment_masks(sample.pred_panoptic) for sample in found]


def segment_masks(found: PanopticData) -> Tensor:
    """Boolean masks (N, H, W) of the segments of a picture, void left out."""
    owner = found.segment_map[0]
    ids = torch.arange(1, len(found.segments) + 1, dtype=owner.dtype, device=owner.device)
    return owner == ids[:, None, None]


def as_clip(image: np.ndarray) -> Tensor:
    """A frame (H, W, 3) as a clip of one in main memory, (1, 3, H, W), uint8."""
    return torch.from_numpy(image).permute(2, 0, 1)[None].contiguous()


def panoptic_sample(size: tuple[int, int]) -> ClipSample:
    """What is asked about a frame of (H, W) of which everything is wanted."""
    return ClipSample(metainfo=dict(task=Task.PANOPTIC, img_shape=size, ori_shape=size))


def _middle(mask: np.ndarray) -> list[float]:
    y, x = mask.nonzero()
    return [float(x.mean()), float(y.mean())]
