"""Samples for models that find all instances of a phrase."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from mmengine.structures import InstanceData

from seg.structures import ClipSample, Prompts

CONCEPT_WORDS = ('circle', 'star', 'cross')
"""What the classes are called."""


def write_untrained_sam3(config: Path, folder: Path) -> tuple[Path, Path]:
    """A config and weights of an untrained SAM 3 that is sure of everything.

    Args:
        config: Of the tiny one.
        folder: Where to write both files.

    Returns:
        Paths of the config and of the weights.
    """
    from seg.engine.config_options import load_config
    from seg.models.detectors import Sam3Segmentor

    cfg = load_config(config)
    cfg.model.score_threshold = 0.0
    cfg.dump(str(folder / 'config.py'))
    torch.manual_seed(0)
    torch.save(Sam3Segmentor('tiny').state_dict(), folder / 'sam3.pth')
    return folder / 'config.py', folder / 'sam3.pth'


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
