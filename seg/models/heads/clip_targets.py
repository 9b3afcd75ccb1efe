"""What the queries of a clip should answer."""

from __future__ import annotations

import torch
from torch import Tensor

from seg.models.losses import Targets
from seg.structures import ClipSample, Task


def clip_targets(sample: ClipSample, task: Task, num_classes: int) -> Targets:
    """Ground truth of a clip: segments to be found, or one row per prompt in prompted tasks.

    Crowd regions are nobody's target.

    Args:
        sample: The clip.
        task: The task of the batch.
        num_classes: Classes K of the model.
    """
    segments = sample.gt_segments
    annotated = _annotated_classes(sample, num_classes)
    if not task.is_prompted:
        wanted = ~segments.is_crowd
        return Targets(segments.masks[wanted], segments.labels[wanted], annotated=annotated)
    rows = sample.prompt_targets
    return Targets(
        masks=segments.masks[rows],
        labels=segments.labels[rows],
        queries=torch.arange(len(rows), device=rows.device),
        annotated=annotated,
    )


def _annotated_classes(sample: ClipSample, num_classes: int) -> Tensor | None:
    """Which classes the sample's data set annotates, (K,), bool; ``None`` for all."""
    labels = sample.get('annotated_classes')
    if labels is None:
        return None
    device = sample.gt_segments.labels.device
    annotated = torch.zeros(num_classes, dtype=torch.bool, device=device)
    annotated[torch.as_tensor(labels, dtype=torch.long, device=device)] = True
    return annotated
