"""Whether the fast model and the plain reference compute the same on a frame."""

from __future__ import annotations

from typing import Any, TypedDict

import torch

from seg.benchmark.plain_rapsam import PlainRapSAM
from seg.benchmark.workloads import as_clip, draw_frame, panoptic_sample
from seg.structures import Task


class Agreement(TypedDict):
    """Differences of the last prediction about a frame.

    Attributes:
        masks: Largest difference of mask logits, of the largest mask logit.
        logits: The same of class logits.
        pixels: Share of the cells of all masks that both put on the same side of zero.
        labels: Share of the queries to which both give the same class.
    """

    masks: float
    logits: float
    pixels: float
    labels: float


@torch.inference_mode()
def agreement(model: Any, plain: PlainRapSAM, size: tuple[int, int]) -> Agreement:
    """Compare both on one drawn frame.

    Args:
        model: A RapSAM with the weights of the plain one; it may be folded or compiled.
        plain: See :func:`~seg.benchmark.peers.plain_like`.
        size: (H, W) of the frame.
    """
    image, _ = draw_frame(0, 4, size)
    clip = as_clip(image)
    data = {'inputs': [clip], 'data_samples': [panoptic_sample(size)]}
    inputs = model.data_preprocessor(data, False)['inputs']
    ours = model.head(*model.extract_feat(inputs), model.head.router.routes[Task.PANOPTIC])[-1]
    usual = plain(plain.preprocess(clip[0].to(inputs.device)))[-1]
    masks, expected = ours.mask_logits[:, :, 0].float(), usual.mask_logits
    logits = ours.class_logits.float()
    return {
        'masks': float((masks - expected).abs().max() / expected.abs().max()),
        'logits': float((logits - usual.class_logits).abs().max() / usual.class_logits.abs().max()),
        'pixels': float(((masks > 0) == (expected > 0)).float().mean()),
        'labels': float((logits.argmax(-1) == usual.class_logits.argmax(-1)).float().mean()),
    }
