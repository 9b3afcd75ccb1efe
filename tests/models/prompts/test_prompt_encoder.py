"""Prompts to queries."""

import pytest
import torch

from seg.models.prompts import CoordinateFrame, PromptEncoder
from seg.models.prompts.positional import sine_encoding
from seg.structures import Prompts
from seg.utils.checks import UserError


def clicks(*points):
    return Prompts.create(points=torch.tensor(points, dtype=torch.float32).reshape(-1, 1, 2))


def encode(encoder, prompts, image_shapes=None, canvas=(32, 64), feats=None):
    feats = torch.zeros(len(prompts), 1, 16, 8, 16) if feats is None else feats
    return encoder(
        prompts, feats, canvas=canvas, image_shapes=image_shapes or [canvas] * len(prompts)
    )


def test_query_is_type_plus_token_plus_position():
    encoder = PromptEncoder(16, click_radius=3.0)
    result = encode(encoder, [clicks((16, 8))])
    box = torch.tensor([8 / 32, 16 / 64, 6 / 64, 6 / 32])  # centre y, x, width, height
    position = encoder.pos_proj(sine_encoding(box, 8))

    expected = encoder.type_embed.weight[1] + encoder.mask_tokens.weight[0] + position
    torch.testing.assert_close(result.queries[0, 0], expected)


def test_a_click_without_extent_is_clamped_as_published():
    encoder = PromptEncoder(16, click_radius=0.0)
    result = encode(encoder, [clicks((16, 8))])
    box = torch.tensor([8 / 32, 16 / 64, 1e-5, 1e-5])

    expected = (
        encoder.type_embed.weight[1]
        + encoder.mask_tokens.weight[0]
        + encoder.pos_proj(sine_encoding(box, 8))
    )
    torch.testing.assert_close(result.queries[0, 0], expected)


def test_pictures_with_fewer_prompts_are_padded():
    encoder = PromptEncoder(16)
    result = encode(encoder, [clicks((1, 1), (5, 5), (9, 9)), clicks((5, 5))])

    assert result.queries.shape == (2, 3, 16)
    assert result.valid.tolist() == [[True, True, True], [True, False, False]]
    torch.testing.assert_close(result.queries[0, 1], result.queries[1, 0])


def test_no_prompts_at_all():
    result = encode(PromptEncoder(16), [clicks(), clicks()])

    assert result.queries.shape == (2, 0, 16)
    assert result.attn_mask.shape == (2, 0, 0)


def test_tokens_of_an_object_see_each_other_and_nothing_else():
    result = encode(PromptEncoder(16, num_mask_tokens=2), [clicks((1, 1), (5, 5))])
    same = ~result.attn_mask[0]

    assert result.queries.shape == (1, 4, 16)
    expected = torch.block_diag(torch.ones(2, 2), torch.ones(2, 2)).bool()
    assert torch.equal(same, expected)


def test_tokens_of_an_object_are_beside_each_other():
    encoder = PromptEncoder(16, num_mask_tokens=2)
    result = encode(encoder, [clicks((1, 1), (5, 5))])
    tokens = encoder.mask_tokens.weight

    for first in (0, 2):
        difference = result.queries[0, first + 1] - result.queries[0, first]
        torch.testing.assert_close(difference, tokens[1] - tokens[0], atol=1e-5, rtol=1e-5)


def test_canvas_frame_ignores_the_picture_inside_the_padding():
    """Pixel coordinates of the neck span the canvas, so clicks must be divided by it too."""
    encoder = PromptEncoder(16)
    full = encode(encoder, [clicks((10, 10))], [(32, 64)]).queries
    padded = encode(encoder, [clicks((10, 10))], [(16, 32)]).queries

    assert torch.equal(full, padded)


def test_image_frame_is_that_of_the_published_model():
    encoder = PromptEncoder(16, coordinate_frame='image', click_radius=0.0)
    small = encode(encoder, [clicks((10, 10))], [(16, 32)]).queries
    large = encode(encoder, [clicks((20, 20))], [(32, 64)]).queries

    assert encoder.coordinate_frame is CoordinateFrame.IMAGE
    torch.testing.assert_close(small, large)


def test_unknown_frame_is_refused():
    with pytest.raises(ValueError, match='padded'):
        PromptEncoder(16, coordinate_frame='padded')


def test_seed_reads_the_features_under_the_click():
    encoder = PromptEncoder(16, seed_from_features=True)
    feats = torch.randn(1, 1, 16, 8, 16)
    result = encode(encoder, [clicks((4 * 5 + 2, 4 * 3 + 2))], feats=feats)
    plain = encode(encoder, [clicks((4 * 5 + 2, 4 * 3 + 2))], feats=torch.zeros_like(feats))
    seed = encoder.seed_proj.weight @ feats[0, 0, :, 3, 5]

    torch.testing.assert_close(
        result.queries - plain.queries, seed.expand(1, 1, -1), atol=1e-5, rtol=1e-4
    )


def test_a_mask_seeds_its_query_with_the_mean_of_the_features_under_it():
    encoder = PromptEncoder(16, fusion=dict(num_heads=2))
    feats, mask = torch.randn(1, 1, 16, 8, 16), torch.zeros(1, 32, 64)
    mask[:, 8:16, 16:40] = 1
    prompts = [Prompts.create(masks=mask)]
    result = encode(encoder, prompts, feats=feats)
    plain = encode(encoder, prompts, feats=torch.zeros_like(feats))
    weights = torch.full((8, 16), -4.0).sigmoid()
    weights[2:4, 4:10] = torch.tensor(4.0).sigmoid()
    seed = (feats[0, 0] * weights).sum(dim=(1, 2)) / weights.sum()

    torch.testing.assert_close(
        result.queries - plain.queries, seed.expand(1, 1, -1), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(
    'rows',
    [
        [clicks((5, 5), (9, 9))],
        [Prompts.create(boxes=torch.tensor([[4.0, 4.0, 30.0, 20.0]])), clicks((5, 5), (9, 9))],
        [Prompts.create(masks=torch.ones(2, 32, 64))],
        [clicks(), clicks()],
    ],
    ids=['clicks', 'a box in one picture', 'masks', 'nothing'],
)
def test_kinds_that_no_object_has_are_left_out_but_in_training(rows):
    torch.manual_seed(0)
    encoder = PromptEncoder(16, seed_from_features=True, fusion=dict(num_heads=2)).eval()
    torch.nn.init.normal_(encoder.fusion.attn.out_proj.weight)
    feats, widths = torch.randn(len(rows), 1, 16, 8, 16), []
    encoder.fusion.register_forward_pre_hook(lambda _, given: widths.append(given[0].shape[2]))
    trained = encode(encoder, rows, feats=feats)
    with torch.no_grad():
        left_out = encode(encoder, rows, feats=feats)

    assert widths[1] < widths[0]
    valid = trained.valid
    torch.testing.assert_close(left_out.queries[valid], trained.queries[valid].detach())


@pytest.mark.parametrize(
    'prompts',
    [
        Prompts.create(points=torch.rand(2, 2, 2)),
        Prompts.create(points=torch.rand(2, 1, 2), point_labels=torch.zeros(2, 1)),
        Prompts.create(boxes=torch.tensor([[0.0, 0.0, 3.0, 3.0]])),
        Prompts.create(points=torch.rand(1, 1, 2), texts=['the dog']),
        Prompts.create(points=torch.rand(1, 1, 2), masks=torch.ones(1, 32, 64)),
    ],
    ids=['two clicks', 'negative click', 'box', 'text', 'mask'],
)
def test_prompts_it_was_not_trained_with_are_refused(prompts):
    with pytest.raises(ValueError, match='one positive click per object'):
        encode(PromptEncoder(16), [prompts])


def test_every_used_parameter_gets_a_gradient():
    encoder = PromptEncoder(16, num_mask_tokens=2, seed_from_features=True)
    result = encode(encoder, [clicks((1, 1), (9, 5))], feats=torch.randn(1, 1, 16, 8, 16))
    (result.queries * torch.randn_like(result.queries)).sum().backward()

    silent = [n for n, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []
    assert not encoder.type_embed.weight.grad[0].any()  # no negative clicks yet


def test_the_first_mask_is_a_disc_around_the_click():
    encoder = PromptEncoder(16, window_radius=2.0)
    prompts = Prompts.create(points=torch.tensor([[[40.0, 16.0]]]))
    windows = encoder(
        [prompts], torch.zeros(1, 2, 16, 8, 16), canvas=(32, 64), image_shapes=[(32, 64)]
    ).first_masks
    inside = (windows > 0)[0, 0]

    assert windows.shape == (1, 1, 2, 8, 16)
    assert torch.equal(inside[0], inside[1])
    assert inside[0].nonzero().float().mean(dim=0).tolist() == [3.5, 9.5]
    assert inside[0].sum() == 12


def test_without_a_window_the_query_draws_the_first_mask():
    encoder = PromptEncoder(16)
    prompts = Prompts.create(points=torch.tensor([[[40.0, 16.0]]]))
    features = torch.zeros(1, 1, 16, 8, 16)

    assert (
        encoder([prompts], features, canvas=(32, 64), image_shapes=[(32, 64)]).first_masks is None
    )


def test_prompts_on_later_frames_are_refused():
    prompts = Prompts.create(points=torch.zeros(1, 1, 2), frame_index=2)

    with pytest.raises(UserError, match='takes prompts on the first frame, got frame 2'):
        encode(PromptEncoder(16), [prompts])


@pytest.mark.parametrize('setting', [dict(window_radius=0.0), dict(window_radius=-1.0)])
def test_a_window_without_extent_is_refused(setting):
    with pytest.raises(ValueError, match=r'PromptEncoder\.window_radius: expected more than 0'):
        PromptEncoder(16, **setting)


def test_a_negative_click_radius_is_refused():
    with pytest.raises(ValueError, match=r'PromptEncoder\.click_radius: expected 0'):
        PromptEncoder(16, click_radius=-1.0)
