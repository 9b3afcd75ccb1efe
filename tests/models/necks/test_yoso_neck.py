"""The neck: shapes, coordinates, the deformable block against a slow loop, precision."""

import pytest
import torch
from torch.nn import functional as F

from seg.models.necks import DeformUpBlock, YOSONeck
from seg.models.necks.deform_conv import ModulatedDeformConv

WIDTHS = (8, 16, 24, 32)


def make_neck(**settings):
    return YOSONeck(WIDTHS, agg_channels=8, feat_channels=12, **settings)


def make_pyramid(batch=2, size=(64, 96)):
    height, width = size
    return tuple(
        torch.randn(batch, c, height >> i, width >> i)
        for i, c in zip((2, 3, 4, 5), WIDTHS, strict=True)
    )


@pytest.mark.parametrize('size', [(32, 32), (64, 160)])
def test_result_is_one_map_at_stride_four(size):
    result = make_neck()(make_pyramid(size=size))

    assert result.mask_features.shape == (2, 12, size[0] // 4, size[1] // 4)
    assert result.context_feats is None


def test_context_is_a_map_at_stride_sixteen():
    result = make_neck(context=True)(make_pyramid(size=(64, 96)))

    assert result.context_feats.shape == (2, 12, 4, 6)


def test_lateral_widths_are_half_the_input_by_default():
    neck = make_neck()

    assert [conv.out_channels for conv in neck.lateral_convs] == [4, 8, 12, 16]


def test_three_levels_are_refused():
    with pytest.raises(ValueError, match='four levels'):
        YOSONeck((8, 16, 32))


def test_published_size():
    with torch.device('meta'):
        neck = YOSONeck((256, 512, 1024, 2048))

    assert sum(p.numel() for p in neck.parameters()) == 15_351_505
    assert sum(p.numel() for p in neck.up_blocks[2].parameters()) == 9_163_803


def test_deform_conv_equals_a_slow_loop():
    conv = ModulatedDeformConv(3, 2).requires_grad_(False)
    torch.nn.init.normal_(conv.offset_conv.weight, std=0.3)
    x = torch.randn(1, 3, 5, 4)
    raw = conv.offset_conv(x)[0]
    expected = torch.zeros(2, 5, 4)
    for row in range(5):
        for column in range(4):
            for tap in range(9):
                y = row + tap // 3 - 1 + raw[2 * tap, row, column]
                x_at = column + tap % 3 - 1 + raw[2 * tap + 1, row, column]
                value = (
                    _bilinear(x[0], float(y), float(x_at)) * raw[18 + tap, row, column].sigmoid()
                )
                expected[:, row, column] += conv.weight[:, :, tap // 3, tap % 3] @ value

    torch.testing.assert_close(conv(x)[0], expected, atol=1e-5, rtol=1e-5)


def _bilinear(image, y, x):
    """Value at a fractional pixel, zero outside."""
    top, left = int(torch.tensor(y).floor()), int(torch.tensor(x).floor())
    total = torch.zeros(len(image))
    for r in (top, top + 1):
        for c in (left, left + 1):
            if 0 <= r < image.shape[1] and 0 <= c < image.shape[2]:
                total += (1 - abs(y - r)) * (1 - abs(x - c)) * image[:, r, c]
    return total


def test_sane_start_is_a_plain_convolution_and_a_bilinear_enlargement():
    block = DeformUpBlock(3, 3, dict(type='BN')).eval()
    x = torch.randn(1, 3, 6, 6)
    conv = block.deform_conv

    torch.testing.assert_close(conv(x), F.conv2d(x, conv.weight, padding=1) / 2)
    doubled = block.up_conv(x)
    plain = F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False)
    torch.testing.assert_close(doubled[..., 2:-2, 2:-2], plain[..., 2:-2, 2:-2])


def test_faithful_start_is_xavier_for_every_weight():
    torch.manual_seed(0)
    neck = make_neck(faithful_init=True)

    for name, parameter in neck.named_parameters():
        if parameter.ndim > 1:
            assert parameter.std() > 0, name
    weight = neck.up_blocks[2].deform_conv.offset_conv.weight
    bound = (6 / (9 * (27 + 16))) ** 0.5
    assert 0.9 * bound < weight.abs().max() <= bound
    assert not neck.up_blocks[2].deform_conv.offset_conv.bias.any()


def test_init_weights_keeps_the_chosen_start():
    neck = make_neck(faithful_init=True)
    before = neck.agg_bias.clone()
    neck.init_weights()

    assert torch.equal(neck.agg_bias, before)


def test_deformable_convolution_stays_in_float32_under_autocast():
    conv = ModulatedDeformConv(4, 4)
    torch.nn.init.normal_(conv.offset_conv.weight, std=0.1)
    x = torch.randn(1, 4, 6, 6)
    with torch.autocast('cpu', torch.bfloat16):
        result = conv(x)

    assert result.dtype == torch.float32
    assert torch.equal(result, conv(x))


def test_neck_runs_in_mixed_precision():
    neck = make_neck(context=True).eval()
    feats = make_pyramid()
    with torch.autocast('cpu', torch.bfloat16):
        mixed = neck(feats).mask_features

    torch.testing.assert_close(mixed.float(), neck(feats).mask_features, atol=0.05, rtol=0.05)


@pytest.mark.parametrize('faithful_init', [False, True])
@pytest.mark.parametrize('block', ['DeformUpBlock', 'ConvUpBlock'])
def test_every_parameter_gets_a_gradient(block, faithful_init):
    neck = make_neck(up_block=dict(type=block), context=True, faithful_init=faithful_init)
    result = neck(make_pyramid())
    (result.mask_features.square().mean() + result.context_feats.square().mean()).backward()

    silent = [n for n, p in neck.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


def test_batch_of_two_equals_two_batches():
    neck = make_neck().eval()
    feats = make_pyramid()
    together = neck(feats).mask_features
    apart = [neck(tuple(f[i : i + 1] for f in feats)).mask_features for i in range(2)]

    torch.testing.assert_close(together, torch.cat(apart), atol=1e-5, rtol=1e-5)


def test_the_last_layer_sees_coordinates_after_the_features():
    neck = make_neck().eval()
    with torch.no_grad():
        neck.out_conv.weight.normal_()
        total = torch.randn(2, 8, 3, 5)
        x = torch.tensor([-1, -0.5, 0, 0.5, 1]).expand(3, 5)
        y = torch.tensor([-1.0, 0, 1])[:, None].expand(3, 5)
        joined = torch.cat([total, torch.stack([x, y]).expand(2, -1, -1, -1)], dim=1)

        torch.testing.assert_close(neck._place(total), neck.out_conv(joined))


def test_features_can_be_normalised_before_the_last_layer():
    neck = make_neck(norm_features=True, norm_cfg=dict(type='GN', num_groups=2))
    feats = make_pyramid()
    scaled = tuple(100 * f for f in feats)

    spreads = [neck(f).mask_features.std().item() for f in (feats, scaled)]
    assert spreads[0] == pytest.approx(spreads[1], rel=0.3)
    assert not any('agg_norm' in name for name in make_neck().state_dict())


def test_sane_start_gives_mask_logits_of_about_unit_size():
    torch.manual_seed(0)
    neck = YOSONeck(WIDTHS, agg_channels=32, feat_channels=64, norm_features=True)
    logits = torch.einsum('qc,bchw->bqhw', torch.randn(50, 64), neck(make_pyramid()).mask_features)

    assert 0.1 < logits.std() < 3
