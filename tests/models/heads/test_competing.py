"""Objects that cannot overlap, and masks that were given."""

import numpy as np
import torch

from seg.apis import VideoPredictor, load_model
from seg.models.heads.competing import compete, compete_with_given


def test_competing_objects_do_not_overlap():
    logits = torch.tensor([[2.0, -1.0], [1.0, 3.0], [5.0, 5.0]]).view(1, 3, 1, 2)
    visible = torch.tensor([[True, True, False]])
    settled = compete(logits, visible)

    assert (settled[0, :2] > 0).sum(dim=0).tolist() == [[1, 1]]
    assert settled[0, :2].argmax(dim=0).tolist() == [[0, 1]]


def test_given_masks_stand_whatever_others_claim():
    logits = torch.tensor([[9.0, 9.0, -4.0], [0.0, 0.0, 0.0]]).view(1, 2, 1, 3)
    given = torch.tensor([[0.0, 0.0, 0.0], [0.0, 1.0, 0.7]]).view(1, 2, 1, 3)
    exact, visible = torch.tensor([[False, True]]), torch.ones(1, 2, dtype=torch.bool)
    settled = compete_with_given(logits, visible, given, exact)

    assert (settled > 0).flatten(1, 2).tolist() == [[[True, False, False], [False, True, True]]]
    torch.testing.assert_close(settled[0, 1, 0], torch.logit(given[0, 1, 0], eps=1e-3))


def test_the_smaller_of_two_given_masks_has_what_both_cover():
    given = torch.tensor([[1.0, 1.0, 1.0], [0.0, 1.0, 0.0]]).view(1, 2, 1, 3)
    both = torch.ones(1, 2, dtype=torch.bool)
    settled = compete_with_given(torch.zeros(1, 2, 1, 3), both, given, both)

    assert (settled > 0).flatten(1, 2).tolist() == [[[True, False, True], [False, True, False]]]


def test_given_masks_that_touch_in_a_cell_keep_their_shares_of_it():
    given = torch.tensor([[1.0, 0.6, 0.0], [0.0, 0.4, 0.9]]).view(1, 2, 1, 3)
    both = torch.ones(1, 2, dtype=torch.bool)
    settled = compete_with_given(torch.zeros(1, 2, 1, 3), both, given, both)

    torch.testing.assert_close(settled, torch.logit(given, eps=1e-3))


def test_a_mask_within_another_and_one_upon_a_followed_object_are_not_lost():
    image = np.full((128, 160, 3), 120, np.uint8)
    image[32:96, 32:96], image[48:72, 48:72] = (200, 60, 60), (60, 60, 200)
    whole, part = np.zeros((2, 128, 160), bool)
    whole[32:96, 32:96], part[48:72, 48:72] = True, True
    predictor = VideoPredictor(load_model('rap_sam_nano_shapes', device='cpu'))

    nested = predictor.start(128, 160, task='vos')
    nested.add_prompts(1, mask=whole)
    nested.add_prompts(2, mask=part)
    masks = nested.step(image).masks
    assert (masks[1] ^ part).sum() < 0.05 * part.sum()
    assert (masks[0] ^ (whole & ~part)).sum() < 0.05 * whole.sum()

    later = predictor.start(128, 160, task='vos')
    later.add_prompts(1, mask=whole)
    later.step(image)
    later.add_prompts(2, mask=part)
    masks = later.step(image).masks
    assert (masks[1] ^ part).sum() < 0.1 * part.sum()
    assert not (masks[0] & masks[1]).any()
