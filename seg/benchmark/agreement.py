"""Whether the fast model and the plain reference compute the same on a frame."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypedDict

import torch
from torch import Tensor

from seg.benchmark.plain_fusion import INSTANCE_OFFSET, plain_panoptic
from seg.benchmark.plain_rapsam import PlainRapSAM
from seg.benchmark.workloads import as_clip, panoptic_sample, threshold_for
from seg.models.heads import PanopticFusion
from seg.structures import PanopticData, Task
from seg.utils.drawn_frames import draw_frame


class Agreement(TypedDict):
    """Differences of the last prediction about a frame, and of the map made of it.

    Attributes:
        masks: Largest difference of mask logits, of the largest mask logit.
        logits: The same of class logits.
        pixels: Share of the cells of all masks that both put on the same side of zero.
        labels: Share of the queries to which both give the same class.
        map: Share of the frame's pixels to which both give the same class and instance.
        segments: How many segments the fast model found.
    """

    masks: float
    logits: float
    pixels: float
    labels: float
    map: float
    segments: int


@torch.inference_mode()
def agreement(
    model: Any, plain: PlainRapSAM, size: tuple[int, int], num_kept: int = 16
) -> Agreement:
    """Compare both on one drawn frame.

    Args:
        model: A RapSAM with the weights of the plain one; it may be folded or compiled.
        plain: See :func:`~seg.benchmark.peers.plain_like`.
        size: (H, W) of the frame.
        num_kept: How many queries become segments, about; the threshold is set so.
    """
    image, _ = draw_frame(0, 4, size)
    clip = as_clip(image)
    data = {'inputs': [clip], 'data_samples': [panoptic_sample(size)]}
    data = model.data_preprocessor(data, False)
    inputs = data['inputs']
    ours = model.head(*model.extract_feat(inputs), model.head.router.routes[Task.PANOPTIC])[-1]
    usual = plain(plain.preprocess(clip[0].to(inputs.device)))[-1]
    masks, expected = ours.mask_logits[:, :, 0].float(), usual.mask_logits
    logits = ours.class_logits.float()
    fusion = model.head.fusion
    with _keeping(fusion, threshold_for(usual.class_logits[0], num_kept)):
        (found,) = model.predict(inputs, data['data_samples'])
        drawn = plain_panoptic(
            usual.class_logits[0],
            expected[0],
            num_things=fusion.num_things,
            canvas=(inputs.shape[-2], inputs.shape[-1]),
            img_shape=size,
            ori_shape=size,
            object_mask_thr=fusion.object_mask_thr,
            iou_thr=fusion.iou_thr,
        )
    segments = found.pred_panoptic
    return {
        'masks': float((masks - expected).abs().max() / expected.abs().max()),
        'logits': float((logits - usual.class_logits).abs().max() / usual.class_logits.abs().max()),
        'pixels': float(((masks > 0) == (expected > 0)).float().mean()),
        'labels': float((logits.argmax(-1) == usual.class_logits.argmax(-1)).float().mean()),
        'map': float((as_plain(segments, fusion.num_classes) == drawn).float().mean()),
        'segments': len(segments.segments),
    }


@contextmanager
def _keeping(fusion: PanopticFusion, threshold: float) -> Iterator[None]:
    """Find segments alone, of the queries above a threshold, however little of them is left."""
    settings = fusion.object_mask_thr, fusion.iou_thr, fusion.max_per_image
    fusion.object_mask_thr, fusion.iou_thr, fusion.max_per_image = threshold, 0.0, 0
    try:
        yield
    finally:
        fusion.object_mask_thr, fusion.iou_thr, fusion.max_per_image = settings


def as_plain(found: PanopticData, num_classes: int) -> Tensor:
    """A map of one frame as :func:`~seg.benchmark.plain_fusion.plain_panoptic` writes it."""
    values, num_instances = [num_classes], 0
    for segment in found.segments:
        num_instances += segment.is_thing
        values.append(segment.label + INSTANCE_OFFSET * num_instances * segment.is_thing)
    owner = found.segment_map[0].long()
    return torch.tensor(values, device=owner.device)[owner]
