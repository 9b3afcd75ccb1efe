"""Samples for models that find all instances of a phrase."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmengine.structures import InstanceData

from seg.structures import ClipSample, Prompts

CONCEPT_WORDS = ('circle', 'star', 'cross')
"""What the classes are called."""


def concept_sample(labels: Sequence[int], phrase_labels: Sequence[int], side: int) -> ClipSample:
    """A square picture with rectangles, and phrases about them.

    Args:
        labels: Classes of the rectangles.
        phrase_labels: Classes that are asked for.
        side: Height and width, pixels.
    """
    sample = ClipSample(
        metainfo=dict(
            img_shape=(side, side), ori_shape=(side, side), phrase_labels=list(phrase_labels)
        )
    )
    words = [CONCEPT_WORDS[label] for label in phrase_labels]
    prompts = Prompts.create(texts=words or ['none'])
    sample.prompts = prompts if words else prompts[[]]
    masks = torch.zeros(len(labels), 1, side, side, dtype=torch.bool)
    step = side // 4
    for row in range(len(labels)):
        masks[row, 0, step * row : step * row + step + step // 2, step // 2 : 3 * step] = True
    sample.gt_segments = InstanceData(
        masks=masks,
        labels=torch.tensor(labels, dtype=torch.long),
        is_crowd=torch.zeros(len(labels), dtype=torch.bool),
    )
    return sample
