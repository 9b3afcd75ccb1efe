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


def test_an_unknown_variant_is_named():
    with pytest.raises(UserError, match=r"unknown SAM variant 'vit_x'.*vit_b"):
        sam_variant('vit_x')


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match='num_heads to divide embed_dim'):
        sam_variant({**TOY_SAM, 'num_heads': 5})
    with pytest.raises(UserError, match='multiple of patch_size'):
        sam_variant({**TOY_SAM, 'native_size': 100})
