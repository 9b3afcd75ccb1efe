"""Prompts of one object joined into one query."""

import pytest
import torch

from seg.models.prompts import PromptFusion, PromptKind

WORDS = dict(
    type='VocabularyTextEncoder',
    vocabulary=('red', 'blue'),
    embed_channels=8,
    num_layers=1,
    num_heads=2,
)


def make(texts=False, **settings):
    torch.manual_seed(0)
    return PromptFusion(
        16,
        num_heads=2,
        use_text_encoder=texts,
        text_encoder=dict(WORDS) if texts else None,
        **settings,
    ).eval()


def wake(fusion):
    torch.manual_seed(1)
    for parameter in fusion.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.5)
    return fusion


def test_a_new_fusion_is_the_identity_on_one_token():
    tokens = torch.randn(2, 3, 1, 16)
    fused = make()(tokens, torch.ones(2, 3, 1, dtype=torch.bool), [(), ()])

    torch.testing.assert_close(fused, tokens[:, :, 0])


def test_a_new_fusion_ignores_a_text_beside_a_click():
    fusion = make(texts=True)
    tokens, valid = torch.randn(1, 1, 1, 16), torch.ones(1, 1, 1, dtype=torch.bool)

    torch.testing.assert_close(fusion(tokens, valid, [('red',)]), tokens[:, :, 0])


def test_an_open_gate_lets_a_text_in():
    fusion = wake(make(texts=True))
    tokens, valid = torch.randn(1, 1, 1, 16), torch.ones(1, 1, 1, dtype=torch.bool)
    red, blue, none = (fusion(tokens, valid, [(text,)]) for text in ('red', 'blue', None))

    assert not torch.allclose(red, blue, atol=1e-4)
    assert not torch.allclose(red, none, atol=1e-4)


def test_where_nothing_is_said_words_are_left_out_but_in_training():
    fusion, encoded = wake(make(texts=True)), []
    fusion.text_encoder.register_forward_hook(lambda *_: encoded.append(True))
    tokens, valid = torch.randn(1, 2, 1, 16), torch.ones(1, 2, 1, dtype=torch.bool)
    trained = fusion(tokens, valid, [(None, None)])
    assert encoded, 'all layers get a gradient'
    encoded.clear()
    with torch.no_grad():
        left_out = fusion(tokens, valid, [(None, None)])

    assert not encoded
    torch.testing.assert_close(left_out, trained)


def test_a_text_alone_is_a_query_of_its_own():
    fusion = make(texts=True)
    nothing = torch.zeros(1, 2, 1, dtype=torch.bool)
    fused = fusion(torch.randn(1, 2, 1, 16), nothing, [('red', None)])
    expected = fusion.kind_embed.weight[PromptKind.TEXT] + fusion.text_proj(
        fusion.text_encoder(['red'])
    )

    torch.testing.assert_close(fused[0, 0], expected[0])
    assert torch.equal(fused[0, 1], torch.zeros(16))


def test_tokens_that_do_not_exist_change_nothing():
    fusion = wake(make())
    tokens = torch.randn(1, 2, 3, 16)
    valid = torch.tensor([[[True, True, False], [True, False, False]]])
    changed = torch.where(valid.unsqueeze(-1), tokens, torch.tensor(9.0))

    torch.testing.assert_close(fusion(tokens, valid, [()]), fusion(changed, valid, [()]))


def test_tokens_of_other_objects_change_nothing():
    fusion = wake(make())
    tokens, valid = torch.randn(1, 2, 3, 16), torch.ones(1, 2, 3, dtype=torch.bool)
    changed = tokens.clone()
    changed[:, 1] = 5.0

    torch.testing.assert_close(
        fusion(tokens, valid, [()])[:, 0], fusion(changed, valid, [()])[:, 0]
    )


def test_tokens_of_an_object_look_at_each_other():
    """Beyond their mean: two different pairs of tokens with one mean differ."""
    fusion = wake(make())
    middle, offset = torch.randn(16), torch.randn(16)
    pairs = torch.stack([middle + offset, middle - offset, middle, middle]).view(1, 2, 2, 16)
    fused = fusion(pairs, torch.ones(1, 2, 2, dtype=torch.bool), [()])

    assert not torch.allclose(fused[0, 0], fused[0, 1], atol=1e-4)


@pytest.mark.parametrize('shape', [(2, 0, 1), (2, 3, 0)])
def test_no_objects_and_no_tokens(shape):
    fused = make()(torch.zeros(*shape, 16), torch.zeros(shape, dtype=torch.bool), [(), ()])

    assert fused.shape == (*shape[:2], 16)


@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(num_heads=3), 'num_heads'),
        (dict(dropout=1.0), 'dropout'),
        (dict(use_text_encoder=True), 'text_encoder'),
        (dict(text_encoder=WORDS), 'text_encoder'),
    ],
)
def test_settings_that_cannot_work_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        PromptFusion(16, **{'num_heads': 2, **settings})


def test_texts_are_joined_in_16_bits():
    fusion = wake(make(texts=True))
    tokens, valid = torch.randn(1, 2, 1, 16), torch.ones(1, 2, 1, dtype=torch.bool)
    texts = [('red', None)]
    with torch.autocast('cpu', torch.bfloat16):
        fused = fusion(tokens, valid, texts)
    torch.testing.assert_close(fused.float(), fusion(tokens, valid, texts), atol=0.2, rtol=0.1)
