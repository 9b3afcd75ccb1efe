"""Pooling under masks and drawing masks, against loops."""

import pytest
import torch

from seg.models.decoders import HardMaskSumPooling, SoftMaskMeanPooling, draw_masks


def test_draw_masks_dots_every_pixel_with_every_kernel():
    kernels, feats = torch.randn(2, 3, 4), torch.randn(2, 5, 4, 6, 7)
    masks = draw_masks(kernels, feats)

    assert masks.shape == (2, 3, 5, 6, 7)
    torch.testing.assert_close(masks[1, 2, 4, 3, 5], kernels[1, 2] @ feats[1, 4, :, 3, 5])
    torch.testing.assert_close(masks, torch.einsum('bqc,btchw->bqthw', kernels, feats))


@pytest.mark.parametrize('batch_size', [1, 2])
def test_draw_masks_of_no_query_is_empty(batch_size):
    kernels, feats = torch.randn(batch_size, 0, 4), torch.randn(batch_size, 4, 3, 3)
    for layout in (torch.contiguous_format, torch.channels_last):
        masks = draw_masks(kernels, feats.contiguous(memory_format=layout).unsqueeze(1))
        assert masks.shape == (batch_size, 0, 1, 3, 3)


def test_draw_masks_draws_the_same_alone_and_beside_others():
    torch.manual_seed(0)
    kernels, feats = torch.randn(2, 5, 8), torch.randn(2, 1, 8, 6, 4)
    masks = draw_masks(kernels, feats)

    for i in range(2):
        for layout in (torch.contiguous_format, torch.channels_last):
            alone = feats[i].contiguous(memory_format=layout).unsqueeze(0)
            drawn = draw_masks(kernels[i : i + 1], alone)
            torch.testing.assert_close(drawn[0], masks[i], atol=1e-5, rtol=1e-5)


def test_masks_are_drawn_in_float32_under_autocast():
    """The sign of a logit decides what the next stage pools."""
    kernels, feats = torch.randn(1, 3, 16), torch.randn(1, 1, 16, 8, 8)
    with torch.autocast('cpu', torch.bfloat16):
        masks = draw_masks(kernels, feats)

    assert masks.dtype == torch.float32
    assert torch.equal(masks, draw_masks(kernels, feats))


def test_hard_pooling_sums_pixels_of_positive_logits_over_all_frames():
    logits, feats = torch.randn(2, 3, 2, 4, 5), torch.randn(2, 2, 6, 4, 5)
    pooled = HardMaskSumPooling()(logits, feats)

    for b in range(2):
        for q in range(3):
            expected = torch.zeros(6)
            for t in range(2):
                expected += feats[b, t][:, logits[b, q, t] > 0].sum(dim=1)
            torch.testing.assert_close(pooled[b, q], expected)


def test_hard_pooling_passes_no_gradient_to_masks():
    logits = torch.randn(1, 2, 1, 4, 4, requires_grad=True)
    feats = torch.randn(1, 1, 3, 4, 4, requires_grad=True)
    HardMaskSumPooling()(logits, feats).sum().backward()

    assert logits.grad is None
    assert feats.grad.any()


def test_a_logit_of_zero_is_outside():
    pooled = HardMaskSumPooling()(torch.zeros(1, 1, 1, 2, 2), torch.ones(1, 1, 3, 2, 2))

    assert not pooled.any()


def test_hard_pooling_stays_in_float32_where_half_types_overflow():
    feats = torch.full((1, 1, 2, 300, 300), 10.0)
    logits = torch.ones(1, 1, 1, 300, 300)
    with torch.autocast('cpu', torch.bfloat16):
        pooled = HardMaskSumPooling()(logits.bfloat16(), feats.bfloat16())

    assert pooled.dtype == torch.float32
    assert pooled.flatten().tolist() == [900_000.0, 900_000.0]


def test_soft_pooling_is_a_mean_that_does_not_depend_on_size():
    feats = torch.zeros(1, 1, 2, 8, 8)
    feats[:, :, 0] = 3.0
    small = torch.full((1, 1, 1, 8, 8), -30.0)
    small[..., :2, :2] = 30.0
    large = torch.full((1, 1, 1, 8, 8), 30.0)

    for logits in (small, large):
        pooled = SoftMaskMeanPooling()(logits, feats)
        torch.testing.assert_close(pooled, torch.tensor([[[3.0, 0.0]]]))


def test_soft_pooling_of_an_empty_mask_is_finite():
    pooled = SoftMaskMeanPooling()(torch.full((1, 1, 1, 4, 4), -100.0), torch.ones(1, 1, 3, 4, 4))

    assert torch.isfinite(pooled).all()
    assert pooled.abs().max() < 1e-6


def test_soft_pooling_passes_gradients_to_masks():
    logits = torch.randn(1, 2, 1, 4, 4, requires_grad=True)
    SoftMaskMeanPooling()(logits, torch.randn(1, 1, 3, 4, 4)).sum().backward()

    assert logits.grad.any()
