"""The two adapters."""

import torch
from torch.nn import functional as F

from seg.models.decoders import ObjectAdapter, PromptAdapter, StagePrediction

PARTS = dict(updater=dict(type='KernelUpdater'), pooling=dict(type='HardMaskSumPooling'))


def make_last(num_queries=4, num_frames=2):
    return StagePrediction(
        queries=torch.randn(2, num_queries, 16),
        mask_logits=torch.randn(2, num_queries, num_frames, 5, 6),
        class_embeddings=None,
        iou_logits=None,
    )


def test_published_sizes():
    with torch.device('meta'):
        objects = ObjectAdapter(256, 768, **PARTS)
        prompts = PromptAdapter(256)

    assert sum(p.numel() for p in objects.parameters()) == 463_104 + 256 * 768 + 768
    assert sum(p.numel() for p in prompts.pixel_attn.parameters()) == 263_168


def test_object_masks_are_sums_of_features_with_weights_that_are_not_negative():
    feats = torch.randn(2, 2, 16, 5, 6)
    result = ObjectAdapter(16, 12, **PARTS)(make_last(), feats)

    assert result.queries.min() >= 0
    expected = torch.einsum('bqc,btchw->bqthw', result.queries, feats)
    torch.testing.assert_close(result.mask_logits, expected)
    assert result.class_embeddings.shape == (2, 4, 12)
    assert result.iou_logits is None


def test_prompt_adapter_attends_to_every_pixel_of_every_frame():
    adapter = PromptAdapter(16, num_heads=1)
    last, feats = make_last(), torch.randn(2, 2, 16, 5, 6)
    result = adapter(last, feats)
    pixels = torch.stack(
        [feats[:, t, :, y, x] for t in range(2) for y in range(5) for x in range(6)], 1
    )
    q, k, v = (
        F.linear(x, w, b)
        for x, w, b in zip(
            (last.queries, pixels, pixels),
            adapter.pixel_attn.in_proj_weight.chunk(3),
            adapter.pixel_attn.in_proj_bias.chunk(3),
            strict=True,
        )
    )
    read = adapter.pixel_attn.out_proj((q @ k.mT / 4).softmax(dim=-1) @ v)
    expected = adapter.norm(last.queries + read)

    torch.testing.assert_close(result.queries, expected, atol=1e-5, rtol=1e-5)
    assert result.iou_logits.shape == (2, 4)
    assert result.class_embeddings is None


def test_prompts_do_not_see_each_other_in_the_adapter():
    adapter, last, feats = PromptAdapter(16, num_heads=2), make_last(), torch.randn(2, 2, 16, 5, 6)
    alone = last._replace(queries=last.queries[:, 1:2], mask_logits=last.mask_logits[:, 1:2])

    torch.testing.assert_close(
        adapter(last, feats).mask_logits[:, 1:2], adapter(alone, feats).mask_logits
    )


def test_no_prompts_is_no_problem():
    result = PromptAdapter(16, num_heads=2)(make_last(0), torch.randn(2, 2, 16, 5, 6))

    assert result.mask_logits.shape == (2, 0, 2, 5, 6)
