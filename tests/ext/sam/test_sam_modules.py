"""Our modules against segment-anything's own, on the same random weights."""

import pytest
import torch
from segment_anything import sam_model_registry
from segment_anything.modeling.image_encoder import Attention as HostImageAttention
from segment_anything.modeling.transformer import Attention as HostTokenAttention

from ext.sam import (
    SAM_VARIANTS,
    FusedImageAttention,
    FusedTokenAttention,
    build_image_encoder,
    build_mask_decoder,
    build_prompt_encoder,
    sam_variant,
)
from seg.testing.reference_sam import TOY_SAM, randomize, reference_sam
from seg.utils.checks import UserError


@pytest.mark.parametrize('size', [(5, 5), (4, 7)])
def test_image_attention_equals_the_package(size):
    host = HostImageAttention(24, 3, use_rel_pos=True, input_size=(5, 5))
    randomize(host)
    ours = FusedImageAttention(24, 3, use_rel_pos=True, input_size=(5, 5))
    ours.load_state_dict(host.state_dict())
    x = torch.randn(2, *size, 24)

    assert torch.allclose(ours(x), host(x), atol=1e-5)


def test_image_attention_has_the_gradients_of_the_package():
    host = HostImageAttention(24, 3, use_rel_pos=True, input_size=(4, 4))
    randomize(host)
    ours = FusedImageAttention(24, 3, use_rel_pos=True, input_size=(4, 4))
    ours.load_state_dict(host.state_dict())
    x = torch.randn(2, 4, 4, 24)
    for module in (host, ours):
        module(x).square().sum().backward()

    for name, value in ours.named_parameters():
        expected = host.get_parameter(name).grad
        assert torch.allclose(value.grad, expected, atol=1e-4), name


def test_token_attention_equals_the_package():
    host, ours = HostTokenAttention(16, 2, 2), FusedTokenAttention(16, 2, 2)
    ours.load_state_dict(host.state_dict())
    q, k, v = torch.randn(3, 4, 16), torch.randn(3, 9, 16), torch.randn(3, 9, 16)

    assert torch.allclose(ours(q, k, v), host(q, k, v), atol=1e-5)


def test_the_encoder_equals_the_package():
    variant = sam_variant(TOY_SAM)
    host = reference_sam(variant).image_encoder
    randomize(host)
    ours = build_image_encoder(variant)
    ours.load_state_dict(host.state_dict())
    images = torch.randn(2, 3, 128, 128)

    assert torch.allclose(ours(images), host(images), atol=1e-5)


def test_the_encoder_takes_other_canvases():
    ours = build_image_encoder(sam_variant(TOY_SAM))
    assert ours(torch.randn(1, 3, 64, 96)).shape == (1, 32, 4, 6)


@pytest.mark.parametrize('name', ['vit_b', 'vit_l', 'vit_h'])
def test_published_names_and_shapes(name):
    with torch.device('meta'):
        host = sam_model_registry[name]().image_encoder.state_dict()
        ours = build_image_encoder(SAM_VARIANTS[name]).state_dict()

    assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in host.items()}


def decoders():
    """The package's decoder and ours, with the same noise as weights."""
    variant = sam_variant(TOY_SAM)
    host, ours = reference_sam(variant).mask_decoder, build_mask_decoder(variant)
    randomize(host)
    ours.load_state_dict(host.state_dict())
    return host, ours


def answer(decoder, embeddings, places, tokens):
    """Tokens, and the masks of all four mask tokens."""
    hidden, keys = decoder.transformer(embeddings, places.expand_as(embeddings), tokens)
    kernels = torch.stack(
        [mlp(hidden[:, 1 + i]) for i, mlp in enumerate(decoder.output_hypernetworks_mlps)], dim=1
    )
    if hasattr(decoder, 'draw'):
        return hidden, decoder.draw(keys, kernels, (6, 5))
    upscaled = decoder.output_upscaling(keys.mT.reshape(len(keys), -1, 6, 5))
    return hidden, torch.einsum('nmc,nchw->nmhw', kernels, upscaled)


@pytest.mark.parametrize('num_images', [1, 3])
def test_the_decoder_equals_the_package(num_images):
    """Three prompts on one image, or on an image each: outputs and gradients."""
    host, ours = decoders()
    embeddings, places = torch.randn(num_images, 32, 6, 5), torch.randn(1, 32, 6, 5)
    tokens = torch.randn(3, 9, 32)
    inputs = [(value.clone().requires_grad_(), tokens.clone()) for value in (embeddings,) * 2]
    found = [
        answer(ours, inputs[0][0], places, inputs[0][1]),
        answer(host, inputs[1][0].expand(3, -1, -1, -1), places, inputs[1][1]),
    ]
    for value, expected in zip(*found, strict=True):
        assert torch.allclose(value, expected, atol=1e-5)
    for hidden, masks in found:
        (hidden.square().sum() + masks.square().sum()).backward()

    assert torch.allclose(inputs[0][0].grad, inputs[1][0].grad, rtol=1e-4, atol=1e-4)
    for name, value in host.named_parameters():
        if value.grad is None or name.endswith('token_to_image.k_proj.bias'):
            continue  # that bias moves all scores of a query alike
        grad = ours.get_parameter(name).grad
        assert torch.allclose(grad, value.grad, rtol=1e-3, atol=1e-4), name


@pytest.mark.parametrize('name', ['vit_b', 'tiny'])
def test_names_and_shapes_of_the_decoder(name):
    with torch.device('meta'):
        host = reference_sam(SAM_VARIANTS[name])
        ours = build_mask_decoder(SAM_VARIANTS[name]).state_dict()
        prompts = build_prompt_encoder(SAM_VARIANTS[name], 160).state_dict()

    for found, expected in ((ours, host.mask_decoder), (prompts, host.prompt_encoder)):
        assert {k: v.shape for k, v in found.items()} == {
            k: v.shape for k, v in expected.state_dict().items()
        }


def test_an_unknown_variant_is_named():
    with pytest.raises(UserError, match=r"unknown SAM variant 'vit_x'.*vit_b"):
        sam_variant('vit_x')


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match='num_heads to divide embed_dim'):
        sam_variant({**TOY_SAM, 'num_heads': 5})
    with pytest.raises(UserError, match='multiple of patch_size'):
        sam_variant({**TOY_SAM, 'native_size': 100})
