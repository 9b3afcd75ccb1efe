"""Prompts as maps."""

import torch

from seg.models.prompts.prompt_maps import (
    WINDOW_LOGIT,
    batch_prompts,
    box_logits,
    box_sides,
    mask_prompt_logits,
    point_logits,
)
from seg.structures import PointLabel, Prompts

FEATS = torch.zeros(1, 1, 4, 8, 16)
NAN = float('nan')
STRIDE = torch.tensor([4.0, 4.0])


def batch_of(**kinds):
    return batch_prompts([Prompts.create(**kinds)], FEATS)


def test_points_are_discs_where_they_are():
    batch = batch_of(
        points=torch.tensor([[[10.0, 6.0], [50.0, 26.0]]]), point_labels=torch.tensor([[1, 0]])
    )
    for label, (column, row) in {
        PointLabel.FOREGROUND: (2, 1),
        PointLabel.BACKGROUND: (12, 6),
    }.items():
        logits = point_logits(batch, label, 1.5, STRIDE, (8, 16))[0, 0]

        assert divmod(int(logits.argmax()), 16) == (row, column)
        assert logits.max() == WINDOW_LOGIT
        assert (logits > 0).sum() == 9


def test_a_box_is_its_ellipse():
    batch = batch_of(boxes=torch.tensor([[8.0, 4.0, 40.0, 28.0]]))
    inside = box_logits(batch, STRIDE, (8, 16))[0, 0] > 0
    rows, columns = inside.nonzero().T

    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (1, 6, 2, 9)
    assert not inside[1, 2]
    assert inside[4, 5]


def test_the_sides_of_a_box_are_finer_than_the_grid():
    batch = batch_of(boxes=torch.tensor([[8.0, 4.0, 41.0, 28.0], [NAN] * 4]), texts=(None, 'a'))
    boxed, other = box_sides(batch, STRIDE, (8, 16))[0]

    assert (boxed[1:7, 2:10] == 1).all()
    assert (boxed[1:7, 10] == -0.5).all()  # a quarter of these cells is inside
    assert (boxed == -1).sum() == 8 * 16 - 6 * 9
    assert not other.any()


def test_absent_kinds_are_low_everywhere():
    batch = batch_of(texts=('a',))
    maps = [
        point_logits(batch, PointLabel.FOREGROUND, 1.5, STRIDE, (8, 16)),
        box_logits(batch, STRIDE, (8, 16)),
        mask_prompt_logits(batch),
    ]

    assert all((logits == -2 * WINDOW_LOGIT).all() for logits in maps)
    assert not batch.has_place.any()
    assert batch.has_text.all()


def test_masks_are_averaged_over_cells():
    masks = torch.zeros(1, 32, 64)
    masks[0, 4:8, 8:14] = 1
    batch = batch_of(masks=masks)

    assert batch.mask_probs[0, 0, 1, 2] == 1
    assert batch.mask_probs[0, 0, 1, 3] == 0.5
    assert mask_prompt_logits(batch)[0, 0, 1, 2] == WINDOW_LOGIT


def test_negative_clicks_alone_say_no_place():
    batch = batch_of(points=torch.ones(1, 1, 2), point_labels=torch.zeros(1, 1))

    assert not batch.has_place.any()
