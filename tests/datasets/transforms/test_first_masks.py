"""Exact masks of the first frame as prompts."""

import numpy as np
import pytest
import torch

from seg.datasets.transforms import FirstMaskPrompts
from seg.utils.checks import UserError


def make_results():
    masks = torch.zeros(4, 2, 8, 8, dtype=torch.bool)
    masks[0, :, :4, :4] = True
    masks[1, 1, 4:, 4:] = True  # enters later
    masks[2, :, 6:, :2] = True
    masks[3, :, :2, 6:] = True  # a crowd
    return dict(
        clip=torch.zeros(2, 3, 8, 8, dtype=torch.uint8),
        masks=masks,
        labels=torch.tensor([0, 1, 9, 1]),
        object_ids=torch.tensor([5, 6, 7, 8]),
        is_crowd=torch.tensor([False, False, False, True]),
        rng=np.random.default_rng(0),
    )


def test_what_the_first_frame_shows_is_given_exactly():
    results = FirstMaskPrompts().transform(make_results())
    prompts = results['prompts']

    assert prompts.object_ids.tolist() == [5, 7]
    assert results['prompt_targets'].tolist() == [0, 2]
    assert torch.equal(prompts.masks > 0.5, results['masks'][[0, 2], 0])
    assert not prompts.frame_index.any()


def test_things_alone_and_at_most_so_many():
    assert FirstMaskPrompts(num_things=8)(make_results())['prompt_targets'].tolist() == [0]
    assert len(FirstMaskPrompts(max_objects=1)(make_results())['prompts']) == 1


def test_a_first_frame_without_objects_gives_no_prompts():
    assert len(FirstMaskPrompts(min_area=60)(make_results())['prompts']) == 0


def test_wrong_settings():
    with pytest.raises(UserError, match='max_objects and min_area >= 1'):
        FirstMaskPrompts(max_objects=0)
