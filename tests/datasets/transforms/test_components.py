import numpy as np
import pytest
import torch

from seg.datasets.transforms import FixedSegmentPrompts, SplitComponents
from seg.utils.checks import UserError


def sample():
    masks = torch.zeros(3, 1, 8, 12, dtype=torch.bool)
    masks[0, 0, :2, :2] = masks[0, 0, 5:, 5:7] = True
    masks[1, 0, 2, 2] = masks[1, 0, 3, 3] = True  # touch at a corner
    masks[2, 0, 0, 11] = masks[2, 0, 7, 11] = True
    return dict(
        clip=torch.zeros(1, 3, 8, 12, dtype=torch.uint8),
        masks=masks,
        labels=torch.tensor([4, 5, 6]),
        object_ids=torch.tensor([7, 8, 9]),
        is_crowd=torch.tensor([False, False, True]),
        rng=np.random.default_rng(0),
    )


def test_regions_become_segments_and_crowds_stay_whole():
    results = SplitComponents()(sample())

    assert results['labels'].tolist() == [4, 4, 5, 6]
    assert results['masks'].flatten(1).sum(dim=1).tolist() == [4, 6, 2, 2]
    assert results['object_ids'].tolist() == [1, 2, 3, 4]
    assert results['is_crowd'].tolist() == [False, False, False, True]


def test_prompts_come_after_it():
    with pytest.raises(UserError, match='before the step that makes prompts'):
        SplitComponents()(FixedSegmentPrompts()(sample()))
