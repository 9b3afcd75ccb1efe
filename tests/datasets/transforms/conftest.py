"""A sample whose pixels say where they came from."""

import numpy as np
import pytest
import torch

from seg.structures import Prompts

SIZE = (24, 40)


def _pattern_sample(num_frames=1, seed=0):
    """Three squares of one colour each; one click in the first, one box around the second.

    Red is 200 inside segment 0, green inside segment 1, blue inside segment 2 (a crowd).
    """
    height, width = SIZE
    clip = torch.zeros(num_frames, 3, height, width, dtype=torch.uint8)
    masks = torch.zeros(3, num_frames, height, width, dtype=torch.bool)
    squares = [(2, 3, 10, 12), (12, 20, 22, 36), (1, 25, 5, 30)]  # top, left, bottom, right
    for row, (top, left, bottom, right) in enumerate(squares):
        masks[row, :, top:bottom, left:right] = True
        clip[:, row, top:bottom, left:right] = 200
    prompts = Prompts.create(
        points=torch.tensor([[[3.5, 2.5]], [[20.5, 12.5]]]),
        boxes=torch.tensor([[torch.nan] * 4, [20.0, 12.0, 36.0, 22.0]]),
        masks=masks[:2, 0],
        object_ids=torch.tensor([7, 8]),
    )
    return {
        'task': 'interactive_image',
        'clip': clip,
        'masks': masks,
        'labels': torch.tensor([0, 1, 2]),
        'object_ids': torch.tensor([7, 8, 9]),
        'is_crowd': torch.tensor([False, False, True]),
        'prompts': prompts,
        'prompt_targets': torch.tensor([0, 1]),
        'ori_shape': SIZE,
        'rng': np.random.default_rng(seed),
    }


def _mismatch(results):
    """Share of pixels at which a mask and its colour in the clip disagree, over all segments."""
    color = results['clip'].permute(1, 0, 2, 3) > 100  # (3, T, H, W), one channel per segment
    channels = color[results['labels']]
    wrong = (channels != results['masks']).sum().item()
    return wrong / max(channels.numel(), 1)


@pytest.fixture
def pattern_sample():
    """Function that makes the sample."""
    return _pattern_sample


@pytest.fixture
def mismatch():
    """Function that measures how far masks and pixels are apart."""
    return _mismatch
