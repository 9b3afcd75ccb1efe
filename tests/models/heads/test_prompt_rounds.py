"""Correcting clicks between the rounds of a training step."""

import torch

from seg.models.heads.prompt_rounds import corrected_prompts
from seg.structures import Prompts


def scene():
    """Two objects on 8x8 cells of 4 pixels: one missed on the right, one spilled over."""
    masks = torch.zeros(2, 1, 32, 32, dtype=torch.bool)
    masks[0, 0, 8:24, 8:28] = True
    masks[1, 0, 0:8, 0:8] = True
    logits = torch.full((2, 1, 8, 8), -5.0)
    logits[0, 0, 2:6, 2:4] = 5.0
    logits[1, 0, 0:2, 0:6] = 5.0
    return logits, masks


def prompts():
    return Prompts.create(points=torch.tensor([[[10.0, 10.0]], [[2.0, 2.0]]]))


def test_misses_are_clicked_positive_and_spills_negative():
    logits, masks = scene()
    for _ in range(20):
        corrected = corrected_prompts(prompts(), logits, masks)
        (x0, y0), (x1, y1) = corrected.point_coords[:, 1].tolist()

        assert corrected.point_labels[:, 1].tolist() == [1, 0]
        assert 16 <= x0 < 28
        assert 8 <= y0 < 24
        assert 8 <= x1 < 24
        assert 0 <= y1 < 8
        assert masks[0, 0, int(y0), int(x0)]
        assert not masks[1, 0, int(y1), int(x1)]


def test_the_interior_click_is_the_middle_of_the_error():
    logits, masks = scene()
    corrected = corrected_prompts(prompts(), logits, masks, interior_prob=1.0)

    assert corrected.point_coords[0, 1].tolist() in ([22.5, 14.5], [22.5, 18.5], [18.5, 14.5])


def test_the_last_answer_is_handed_on_without_gradient():
    logits, masks = scene()
    logits.requires_grad_()
    corrected = corrected_prompts(prompts(), logits, masks)

    assert torch.equal(corrected.previous_logits, logits)
    assert not corrected.previous_logits.requires_grad


def test_a_perfect_answer_needs_no_click():
    _, masks = scene()
    logits = torch.where(masks[:, :, 2::4, 2::4], 5.0, -5.0)
    corrected = corrected_prompts(prompts(), logits, masks)

    assert corrected.point_labels.tolist() == [[1, -1], [1, -1]]


def test_no_rows():
    logits, masks = scene()
    corrected = corrected_prompts(prompts()[[]], logits[:0], masks[:0])

    assert len(corrected) == 0
