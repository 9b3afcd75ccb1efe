"""One decoder stage: shapes, size, attention masks, start values."""

import pytest
import torch

from seg.models.decoders import DecoderStage, PromptAdapter

PARTS = dict(updater=dict(type='KernelUpdater'), pooling=dict(type='HardMaskSumPooling'))


def make_stage(**settings):
    return DecoderStage(16, 12, num_heads=2, ffn_channels=24, **{**PARTS, **settings})


def test_published_size():
    with torch.device('meta'):
        stage = DecoderStage(256, 768, **PARTS)

    assert sum(p.numel() for p in stage.parameters()) == 2_436_865


@pytest.mark.parametrize(('num_queries', 'num_frames'), [(5, 1), (3, 4), (0, 1)])
def test_shapes(num_queries, num_frames):
    feats = torch.randn(2, num_frames, 16, 6, 7)
    queries = torch.randn(2, num_queries, 16)
    masks = torch.randn(2, num_queries, num_frames, 6, 7)
    result = make_stage()(queries, masks, feats)

    assert result.queries.shape == (2, num_queries, 16)
    assert result.mask_logits.shape == masks.shape
    assert result.class_embeddings.shape == (2, num_queries, 12)
    assert result.iou_logits.shape == (2, num_queries)


def test_a_query_ignores_those_it_must_not_see():
    stage = make_stage()
    feats, queries = torch.randn(1, 1, 16, 6, 6), torch.randn(1, 4, 16)
    masks = torch.randn(1, 4, 1, 6, 6)
    alone = ~torch.eye(4, dtype=torch.bool)[None]
    full = stage(queries, masks, feats, attn_mask=alone)
    one = stage(queries[:, :1], masks[:, :1], feats)

    torch.testing.assert_close(full.mask_logits[:, :1], one.mask_logits)
    open_to_all = stage(queries, masks, feats)
    assert not torch.allclose(open_to_all.mask_logits[:, :1], one.mask_logits)


def test_attention_masks_belong_to_their_own_picture():
    stage = make_stage()
    feats, queries = torch.randn(2, 1, 16, 6, 6), torch.randn(2, 3, 16)
    masks = torch.randn(2, 3, 1, 6, 6)
    attn_mask = torch.stack([~torch.eye(3, dtype=torch.bool), torch.zeros(3, 3).bool()])
    together = stage(queries, masks, feats, attn_mask=attn_mask)
    for i in range(2):
        part = slice(i, i + 1)
        apart = stage(queries[part], masks[part], feats[part], attn_mask=attn_mask[part])
        torch.testing.assert_close(together.queries[part], apart.queries)


def test_context_changes_the_result():
    stage = make_stage(context_attention=True)
    queries, masks = torch.randn(1, 4, 16), torch.randn(1, 4, 2, 8, 8)
    feats, context = torch.randn(1, 2, 16, 8, 8), torch.randn(1, 2, 16, 2, 2)
    first = stage(queries, masks, feats, context_feats=context).queries
    second = stage(queries, masks, feats, context_feats=-context).queries

    assert not torch.allclose(first, second)


def test_faithful_start_is_a_narrow_normal_without_bias():
    stage = make_stage(faithful_init=True)

    assert stage.mask_kernel.weight.std() < 0.03
    assert not stage.class_mlp[0].bias.any()
    assert stage.kernel_update.update_proj.weight.std() < 0.03
    assert stage.self_attn.out_proj.weight.std() < 0.03
    assert stage.self_attn.in_proj_weight.std() > 0.1  # stays as PyTorch makes it


@pytest.mark.parametrize('context_attention', [False, True])
def test_every_parameter_gets_a_gradient(context_attention):
    stage = make_stage(context_attention=context_attention)
    context = torch.randn(2, 1, 16, 2, 2) if context_attention else None
    result = stage(
        torch.randn(2, 5, 16),
        torch.randn(2, 5, 1, 6, 6),
        torch.randn(2, 1, 16, 6, 6),
        context_feats=context,
    )
    sum((value * torch.randn_like(value)).sum() for value in result).backward()

    silent = [n for n, p in stage.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize('num_heads', [0, 7])
def test_heads_that_cannot_share_the_width_are_refused(num_heads):
    with pytest.raises(ValueError, match=r'DecoderStage\.num_heads: expected a divisor .*=16'):
        DecoderStage(16, 12, num_heads=num_heads, **PARTS)
    with pytest.raises(ValueError, match=rf'PromptAdapter\.num_heads: .* got {num_heads}; [18] is'):
        PromptAdapter(16, num_heads=num_heads)
