"""The refiner of prompted masks."""

import torch
from torch.nn import functional as F

from seg.models.prompts import MaskRefiner
from seg.models.prompts.mask_refiner import NUM_HINTS


def inputs(num_frames=1):
    torch.manual_seed(0)
    feats = torch.randn(2, num_frames, 8, 12, 16)
    logits = torch.randn(2, 3, num_frames, 12, 16)
    hints = torch.rand(2, 3, num_frames, NUM_HINTS, 12, 16)
    return feats, logits, hints


def test_a_new_refiner_changes_nothing():
    feats, logits, hints = inputs(num_frames=2)
    refined = MaskRefiner(8)(feats, logits, hints)

    assert torch.equal(refined.mask_logits, logits)
    assert torch.equal(refined.iou_change, torch.zeros(2, 3))


def test_a_few_steps_teach_it_to_cut_out_negative_clicks():
    torch.manual_seed(0)
    refiner = MaskRefiner(4, hidden_channels=8)
    optimizer = torch.optim.Adam(refiner.parameters(), lr=0.02)
    feats, logits = torch.zeros(8, 1, 4, 12, 12), torch.full((8, 1, 1, 12, 12), 3.0)
    hints, wanted = torch.zeros(8, 1, 1, NUM_HINTS, 12, 12), torch.ones(8, 1, 1, 12, 12)
    for i in range(8):
        hints[i, 0, 0, 1, i : i + 3, 4:7] = 1.0
        wanted[i, 0, 0, i : i + 3, 4:7] = 0.0
    for _ in range(60):
        answer = refiner(feats, logits, hints).mask_logits
        loss = F.binary_cross_entropy_with_logits(answer, wanted)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    agreement = ((answer > 0) == (wanted > 0.5)).float().mean()
    assert agreement > 0.98


def test_objects_do_not_see_each_other():
    torch.manual_seed(1)
    refiner = MaskRefiner(8)
    torch.nn.init.normal_(refiner.mask_conv.weight)
    feats, logits, hints = inputs()
    changed = logits.clone()
    changed[:, 1] = 4.0
    before = refiner(feats, logits, hints).mask_logits
    after = refiner(feats, changed, hints).mask_logits

    torch.testing.assert_close(before[:, [0, 2]], after[:, [0, 2]])


def test_few_at_a_time_give_what_all_at_once_give(monkeypatch):
    torch.manual_seed(0)
    refiner = MaskRefiner(8)
    for parameter in refiner.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    features, logits = torch.randn(2, 1, 8, 12, 16), torch.randn(2, 5, 1, 12, 16)
    hints = torch.randn(2, 5, 1, NUM_HINTS, 12, 16)
    at_once = refiner(features, logits, hints)
    monkeypatch.setattr('seg.models.prompts.mask_refiner.rows_at_once', lambda *_: 2)
    with torch.no_grad():
        by_twos = refiner(features, logits, hints)

    torch.testing.assert_close(by_twos.mask_logits, at_once.mask_logits)
    torch.testing.assert_close(by_twos.iou_change, at_once.iou_change)


def test_it_sees_what_looks_unlike_the_rest_of_the_mask():
    torch.manual_seed(0)
    refiner = MaskRefiner(4, hidden_channels=8)
    torch.nn.init.normal_(refiner.mask_conv.weight)
    _, logits, hints = inputs()
    feats = torch.zeros(2, 1, 4, 12, 16)
    feats[:, :, :, :6] = 1.0
    mask = torch.full_like(logits, -8.0)
    upper, lower = mask.clone(), mask.clone()
    upper[..., :6, :], lower[..., 6:, :] = 8.0, 8.0
    with torch.no_grad():
        refiner.unlike_scale.zero_()
        blind = [refiner(feats, logits, hints).mask_logits for logits in (upper, lower)]
        refiner.unlike_scale.fill_(5.0)
        seen = [refiner(feats, logits, hints).mask_logits for logits in (upper, lower)]

    # As far as convolutions reach, what is like the mask is told by its neighbours.
    changed = [(a - b).abs()[0, 0, 0] for a, b in zip(blind, seen, strict=True)]
    assert changed[0][:1].max() < 0.1 * changed[0][-1:].max()
    assert changed[1][-1:].max() < 0.1 * changed[1][:1].max()
