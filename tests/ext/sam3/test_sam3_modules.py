"""Sizes, phrases and arithmetic of SAM 3 against transformers' own model."""

import importlib.util
import sys

import pytest
import torch

from ext.sam3 import (
    SAM3_VARIANTS,
    build_sam3,
    encode_text,
    encode_vision,
    ground,
    image_weights,
    initialise,
    phrase_tokens,
    sam3_variant,
    unpack_levels,
)
from seg.utils.checks import UserError

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)


@pytest.mark.parametrize(
    ('name', 'count'),
    [
        ('standard', 840_376_374),
        ('larger', 685_332_438),
        ('depth_pruned', 722_273_334),
        ('lite', 573_763_062),
        ('smaller', 439_680_438),
    ],
)
def test_parameter_counts(name, count):
    with torch.device('meta'):
        parts = build_sam3(SAM3_VARIANTS[name])
    assert sum(value.numel() for value in parts.parameters()) == count


def test_lite_without_text_encoder_has_220_million_parameters():
    with torch.device('meta'):
        parts = build_sam3(SAM3_VARIANTS['lite'], with_text=False)
    assert sum(value.numel() for value in parts.parameters()) == 220_038_390


def test_outputs_equal_transformers():
    from ext.sam3.architecture import _config, import_transformers

    host = import_transformers()
    torch.manual_seed(0)
    model = host.Sam3Model(_config(host, sam3_variant('tiny'))).eval()
    images = torch.randn(2, 3, 64, 64)
    tokens, valid = phrase_tokens(['red circle', 'star'], 32)
    boxes = torch.tensor([[0.5, 0.5, 0.2, 0.2], [0.3, 0.4, 0.1, 0.2]])
    for shown in (None, boxes):
        more = {} if shown is None else {'input_boxes': shown[:, None]}
        with torch.no_grad():
            expected = model(
                pixel_values=images, input_ids=tokens, attention_mask=valid.long(), **more
            )
            levels = unpack_levels(encode_vision(model.vision_encoder, images))
            ours = ground(model, levels, encode_text(model, tokens, valid), valid, shown)

        centre, size = ours.boxes[-1].split(2, dim=-1)
        corners = torch.cat([centre - size / 2, centre + size / 2], dim=-1)
        torch.testing.assert_close(ours.mask_logits, expected.pred_masks)
        torch.testing.assert_close(corners, expected.pred_boxes)
        torch.testing.assert_close(ours.class_logits[-1], expected.pred_logits)
        torch.testing.assert_close(ours.presence_logits[-1], expected.presence_logits[:, 0])
        torch.testing.assert_close(ours.semantic_logits, expected.semantic_seg[:, 0])


def test_phrases_are_padded_to_32_tokens():
    tokens, valid = phrase_tokens(['a dog', 'unbelievably yellow school bus'], 32)

    assert tokens.shape == valid.shape == (2, 32)
    assert tokens[0, :4].tolist() == [49406, 320, 1929, 49407]
    assert valid.sum(dim=1)[0] == 4


@pytest.mark.parametrize('phrase', ['', '   ', None, 'dog ' * 40])
def test_phrases_that_say_nothing_or_too_much(phrase):
    with pytest.raises(UserError, match=r'phrases\[1\]: expected'):
        phrase_tokens(['dog', phrase], 32)


def test_weights_of_the_video_model_give_the_image_model():
    state = {'detector_model.a': torch.ones(1), 'tracker_model.b': torch.ones(1)}

    assert list(image_weights(state, 'file')) == ['a']


@pytest.mark.parametrize('name', ['tracker_model.a', 'detector.backbone.a', 'tracker.a'])
def test_weights_of_other_programs(name):
    with pytest.raises(UserError, match=r'huggingface\.co/facebook/sam3'):
        image_weights({name: torch.ones(1)}, 'file')


def test_missing_or_old_transformers(monkeypatch):
    monkeypatch.setitem(sys.modules, 'transformers', None)
    with pytest.raises(UserError, match=r"not installed.*pip install 'rapsam\[sam3\]'"):
        build_sam3(SAM3_VARIANTS['tiny'])
    old = type(sys)('transformers')
    old.__version__ = '4.57.6'
    monkeypatch.setitem(sys.modules, 'transformers', old)
    with pytest.raises(UserError, match=r'from 5\.5 on, got 4\.57\.6'):
        build_sam3(SAM3_VARIANTS['tiny'])


@pytest.mark.parametrize(
    ('sizes', 'message'),
    [
        ('light', 'unknown SAM 3 variant'),
        (3, r'expected a name .* or a dict of sizes, got 3'),
        (dict(vit_width=8), "unknown size of SAM 3 variants 'vit_width'"),
        (dict(vit_dim=8), 'expected all of its sizes, got none for vit_depth, vit_heads'),
        (dict(vit_dim=8, vit_depth=24, vit_heads=1, vit_mlp_dim=8, global_blocks=(7, 15)), 'last'),
    ],
)
def test_unusable_variants(sizes, message):
    with pytest.raises(UserError, match=message):
        sam3_variant(sizes)


def test_queries_start_apart_and_signals_keep_their_size():
    torch.manual_seed(0)
    parts = build_sam3(SAM3_VARIANTS['tiny'])
    images = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        faded = unpack_levels(encode_vision(parts.vision_encoder, images))[-1].std()
        initialise(parts)
        kept = unpack_levels(encode_vision(parts.vision_encoder, images))[-1].std()
    starts = parts.detr_decoder.reference_points.weight.sigmoid()

    assert torch.pdist(starts).min() > 0.05
    assert kept > 3 * faded
