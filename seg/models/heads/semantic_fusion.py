"""From logits of classes, or of prompted segments with classes, to one map of classes."""

from __future__ import annotations

import torch
from torch import Tensor

from seg.models.heads.mask_resizing import PictureSizes, resized_chunks
from seg.structures import PanopticData, Segment


def fuse_semantic(
    mask_logits: Tensor,
    labels: Tensor,
    sizes: PictureSizes,
    num_things: int = 0,
    needs_positive: bool = True,
) -> PanopticData:
    """Give every pixel the class of its largest logit.

    Args:
        mask_logits: (N, h, w).
        labels: Class of each, (N,), int64; several masks may share one.
        sizes: The way to the original picture.
        num_things: How many of the first classes are countable.
        needs_positive: Whether pixels without a positive logit stay void.

    Returns:
        A map with one segment per class that occurs, its id being the label + 1.
    """
    size = sizes['ori_shape']
    best = torch.full(size, 0.0 if needs_positive else -torch.inf, device=mask_logits.device)
    values = torch.zeros(size, dtype=torch.int32, device=mask_logits.device)
    for rows, logits in resized_chunks(mask_logits[:, None], sizes):
        for label, plane in zip(labels[rows].tolist(), logits[:, 0], strict=True):
            better = plane > best
            best = torch.where(better, plane, best)
            values[better] = label + 1
    segments = [
        Segment(id=value, label=value - 1, is_thing=value <= num_things, score=1.0)
        for value in values.unique().tolist()
        if value
    ]
    return PanopticData(values[None], segments)
