"""The overlap loss on the assembled panoptic map."""

import pytest
import torch

from seg.models.losses import panoptic_overlap_loss

# Two halves of a 4 x 8 picture.
HALVES = torch.zeros(2, 1, 4, 8)
HALVES[0, ..., :4], HALVES[1, ..., 4:] = 1, 1


def logits_of(masks, strength=20.0):
    return (2 * masks - 1) * strength


def classes_of(scores):
    """Class logits (Q, 3) whose best class has these probabilities, the rest being no object."""
    scores = torch.tensor(scores)
    return torch.stack([scores, torch.full_like(scores, 1e-9), 1 - scores], dim=-1).log()


def test_a_right_map_costs_nothing():
    queries = torch.tensor([1, 0])
    loss = panoptic_overlap_loss(logits_of(HALVES.flip(0)), classes_of([0.99] * 2), queries, HALVES)

    assert loss.shape == (2,)
    assert loss.max() < 0.35  # the constant claim of void keeps a share
    wrong = panoptic_overlap_loss(logits_of(HALVES), classes_of([0.99] * 2), queries, HALVES)
    assert wrong.min() > 0.95


def test_values_by_hand():
    """One pixel, claims 0.6 and 0.3 and void 0.5: shares are those of their squares."""
    masks = torch.tensor([0.75, 0.375]).view(2, 1, 1, 1).logit()
    coverage = torch.ones(1, 1, 1, 1)
    loss = panoptic_overlap_loss(masks, classes_of([0.8, 0.8]), torch.tensor([0]), coverage)

    assert loss.item() == pytest.approx(1 - 0.36 / (0.36 + 0.09 + 0.25), abs=1e-5)


def test_a_free_query_that_takes_pixels_is_noticed():
    """Losses of single masks do not see it: the matched masks are perfect."""
    thief = torch.ones(1, 1, 4, 8)
    masks = logits_of(torch.cat([HALVES, thief])).requires_grad_()
    quiet = panoptic_overlap_loss(masks, classes_of([0.9, 0.9, 0.01]), torch.arange(2), HALVES)
    loud = panoptic_overlap_loss(masks, classes_of([0.9, 0.9, 0.9]), torch.arange(2), HALVES)

    assert (loud > quiet + 0.2).all()
    weak = (masks.detach() / 20).requires_grad_()
    panoptic_overlap_loss(weak, classes_of([0.9] * 3), torch.arange(2), HALVES).sum().backward()
    assert (weak.grad[2] > 0).all()  # the thief is asked to let go
    assert (weak.grad[:2][HALVES > 0] < 0).all()


def test_pixels_of_no_segment_do_not_count():
    masks = logits_of(torch.ones(1, 1, 4, 8))
    half = HALVES[:1]
    alone = panoptic_overlap_loss(masks, classes_of([0.99]), torch.arange(1), half)
    both = panoptic_overlap_loss(masks, classes_of([0.99]), torch.arange(1), HALVES)

    assert alone.item() == pytest.approx(1 - 0.8, abs=0.01)  # 0.98 against void's 0.25
    assert both.item() > alone.item() + 0.3


def test_no_segments():
    masks = torch.zeros(2, 1, 4, 8)
    empty = torch.zeros(0, dtype=torch.long)

    assert panoptic_overlap_loss(masks, classes_of([0.5] * 2), empty, HALVES[:0]).shape == (0,)


def test_descending_it_mends_a_map():
    torch.manual_seed(0)
    masks = torch.randn(4, 1, 4, 8, requires_grad=True)
    classes = torch.randn(4, 3, requires_grad=True)
    optimizer = torch.optim.Adam([masks, classes], lr=0.1)
    for _ in range(150):
        loss = panoptic_overlap_loss(masks, classes, torch.arange(2), HALVES).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    scores = classes.softmax(-1)[:, :-1].amax(-1)
    owner = (scores[:, None, None, None] * masks.sigmoid()).argmax(dim=0)

    assert torch.equal(owner, HALVES.argmax(dim=0))
