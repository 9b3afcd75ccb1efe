import itertools
import math

import pytest
import torch

from ext.mmcv_ops import install

install()

from mmcv.ops import RoIAlign, modulated_deform_conv2d, roi_align  # noqa: E402
from mmcv.ops.multi_scale_deform_attn import MultiScaleDeformableAttnFunction  # noqa: E402


@pytest.fixture(params=['cpu', pytest.param('cuda', marks=pytest.mark.gpu)])
def device(request):
    if request.param == 'cuda' and not torch.cuda.is_available():
        pytest.skip('no CUDA device')
    return torch.device(request.param)


def bilinear(plane, y, x):
    """Sample (C, H, W) at one point given as scalar tensors; zero outside, corner by corner."""
    height, width = plane.shape[1:]
    top, left = math.floor(y.detach()), math.floor(x.detach())
    total = plane.new_zeros(plane.shape[0])
    for row, column in itertools.product((top, top + 1), (left, left + 1)):
        if 0 <= row < height and 0 <= column < width:
            weight = (1 - (y - row).abs()) * (1 - (x - column).abs())
            total = total + weight * plane[:, row, column]
    return total


def assert_same_values_and_gradients(op, reference, tensors, device):
    """Compare two functions of the tensors and their gradients for one random direction."""
    results = []
    for function, place in ((op, device), (reference, torch.device('cpu'))):
        leaves = [t.detach().to(place).requires_grad_() for t in tensors]
        output = function(*leaves)
        direction = torch.rand(
            output.shape, dtype=output.dtype, generator=torch.Generator().manual_seed(1)
        )
        grads = torch.autograd.grad(output, leaves, direction.to(place))
        results.append([t.detach().cpu() for t in (output, *grads)])
    assert all(gradient.abs().sum() > 0 for gradient in results[1][1:])
    for got, expected in zip(*results, strict=True):
        torch.testing.assert_close(got, expected)


def slow_roi_align(features, rois, size, scale, ratio, aligned):
    shift = 0.5 if aligned else 0.0
    height, width = features.shape[2:]
    bins = []
    for index, x1, y1, x2, y2 in rois.tolist():
        left, top = x1 * scale - shift, y1 * scale - shift
        roi_w, roi_h = (x2 - x1) * scale, (y2 - y1) * scale
        if not aligned:
            roi_w, roi_h = max(roi_w, 1.0), max(roi_h, 1.0)
        num_y = ratio or math.ceil(roi_h / size)
        num_x = ratio or math.ceil(roi_w / size)
        for row, column in itertools.product(range(size), repeat=2):
            samples = []
            for i, j in itertools.product(range(num_y), range(num_x)):
                y = top + (row + (i + 0.5) / num_y) * roi_h / size
                x = left + (column + (j + 0.5) / num_x) * roi_w / size
                if not (-1 <= y <= height and -1 <= x <= width):
                    samples.append(features.new_zeros(features.shape[1]))
                    continue
                y, x = (
                    features.new_tensor(min(max(v, 0), m - 1)) for v, m in ((y, height), (x, width))
                )
                samples.append(bilinear(features[int(index)], y, x))
            bins.append(torch.stack(samples).mean(0))
    return torch.stack(bins).view(len(rois), size, size, -1).permute(0, 3, 1, 2)


ROIS = torch.tensor(
    [[0, 2.0, 3.0, 11.0, 9.0], [1, -3.0, 4.0, 9.5, 17.0], [1, 5.2, 5.2, 5.4, 5.6]],
    dtype=torch.float64,
)


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('ratio', [0, 2])
def test_roi_align_equals_slow_reference(aligned, ratio, device):
    features = torch.rand(2, 3, 7, 6, dtype=torch.float64)
    assert_same_values_and_gradients(
        lambda x: roi_align(x, ROIS.to(x.device), 3, 0.5, ratio, 'avg', aligned),
        lambda x: slow_roi_align(x, ROIS, 3, 0.5, ratio, aligned),
        [features],
        device,
    )


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_roi_align_in_half_precision(dtype, device):
    features = torch.rand(2, 3, 7, 6, device=device)
    layer, rois = RoIAlign(3, 0.5), ROIS.float().to(device)
    half = features.to(dtype).requires_grad_()
    pooled = layer(half, rois.to(dtype))
    pooled.sum().backward()
    assert pooled.dtype == half.grad.dtype == dtype
    torch.testing.assert_close(pooled.float(), layer(features, rois), atol=0.03, rtol=0.03)


def test_roi_align_of_no_regions():
    assert roi_align(torch.rand(1, 2, 5, 5), torch.zeros(0, 5), 3).shape == (0, 2, 3, 3)


def test_maximum_pooling_is_named_as_missing():
    from ext.mmcv_ops import is_stand_in_used

    if not is_stand_in_used():
        pytest.skip('mmcv has compiled operators')
    with pytest.raises(NotImplementedError, match=r'pool_mode="max".*pip install'):
        roi_align(torch.rand(1, 2, 5, 5), ROIS.float()[:1], 3, 1.0, 0, 'max')


def slow_deform_conv(x, offset, mask, weight, bias, stride, padding, dilation, deform_groups):
    groups = x.shape[1] // weight.shape[1]
    kernel_h, kernel_w = weight.shape[2:]
    taps = kernel_h * kernel_w
    outputs = []
    for b, oy, ox in itertools.product(range(len(x)), *map(range, offset.shape[2:])):
        columns = []
        for g, tap in itertools.product(range(deform_groups), range(taps)):
            i, j = divmod(tap, kernel_w)
            dy, dx = offset[b, 2 * (g * taps + tap) :, oy, ox][:2]
            y = oy * stride - padding + i * dilation + dy
            x_position = ox * stride - padding + j * dilation + dx
            plane = x[b].chunk(deform_groups)[g]
            columns.append(bilinear(plane, y, x_position) * mask[b, g * taps + tap, oy, ox])
        # (deform_groups, taps, C / deform_groups) -> (groups, C / groups, taps)
        column = torch.stack(columns).view(deform_groups, taps, -1).transpose(1, 2)
        column = column.reshape(groups, -1, taps)
        kernels = weight.reshape(groups, -1, *column.shape[1:])
        outputs.append(torch.einsum('gct,goct->go', column, kernels).flatten() + bias)
    return torch.stack(outputs).view(len(x), *offset.shape[2:], -1).permute(0, 3, 1, 2)


def deform_conv_tensors(dtype=torch.float64):
    """Input, offset, mask, weight, bias for stride 2, padding 1, dilation 1."""
    shapes = (2, 4, 5, 6), (2, 36, 3, 3), (2, 18, 3, 3), (4, 2, 3, 3), (4,)
    tensors = [torch.randn(shape, dtype=dtype) for shape in shapes]
    tensors[2] = tensors[2].sigmoid()
    return tensors


def test_modulated_deform_conv_equals_slow_reference(device):
    assert_same_values_and_gradients(
        lambda *tensors: modulated_deform_conv2d(*tensors, 2, 1, 1, 2, 2),
        lambda *tensors: slow_deform_conv(*tensors, 2, 1, 1, 2),
        deform_conv_tensors(),
        device,
    )


def test_modulated_deform_conv_without_bias(device):
    *tensors, bias = deform_conv_tensors()
    assert_same_values_and_gradients(
        lambda *leaves: modulated_deform_conv2d(*leaves, None, 2, 1, 1, 2, 2),
        lambda *leaves: slow_deform_conv(*leaves, torch.zeros_like(bias), 2, 1, 1, 2),
        tensors,
        device,
    )


def test_modulated_deform_conv_without_offset_is_a_convolution():
    x, weight = torch.rand(1, 2, 6, 6), torch.rand(3, 2, 3, 3)
    got = modulated_deform_conv2d(
        x, torch.zeros(1, 18, 6, 6), torch.ones(1, 9, 6, 6), weight, None, 1, 1
    )
    torch.testing.assert_close(got, torch.nn.functional.conv2d(x, weight, padding=1))


def test_modulated_deform_conv_in_bfloat16(device):
    tensors = [t.to(device) for t in deform_conv_tensors(torch.float32)]
    expected = modulated_deform_conv2d(*tensors, 2, 1, 1, 2, 2)
    leaves = [t.bfloat16().requires_grad_() for t in tensors]
    got = modulated_deform_conv2d(*leaves, 2, 1, 1, 2, 2)
    got.float().sum().backward()
    assert got.dtype == leaves[0].grad.dtype == torch.bfloat16
    torch.testing.assert_close(got.float(), expected, atol=0.15, rtol=0.1)


def slow_deform_attention(value, locations, weights, sizes):
    outputs = []
    for b, q, head in itertools.product(*map(range, weights.shape[:3])):
        total, start = 0, 0
        for level, (height, width) in enumerate(sizes):
            plane = value[b, start : start + height * width, head].T.view(-1, height, width)
            start += height * width
            for point in range(weights.shape[4]):
                x, y = locations[b, q, head, level, point]
                sample = bilinear(plane, y * height - 0.5, x * width - 0.5)
                total = total + weights[b, q, head, level, point] * sample
        outputs.append(total)
    return torch.stack(outputs).view(*weights.shape[:2], -1)


def test_deformable_attention_equals_slow_reference(device):
    sizes = [(3, 4), (2, 2)]
    value = torch.randn(2, 16, 2, 3, dtype=torch.float64)
    locations = torch.rand(2, 5, 2, 2, 3, 2, dtype=torch.float64) * 1.4 - 0.2
    weights = torch.rand(2, 5, 2, 2, 3, dtype=torch.float64)

    def op(v, xy, w):
        shapes = torch.tensor(sizes, device=v.device)
        starts = torch.tensor([0, 12], device=v.device)
        return MultiScaleDeformableAttnFunction.apply(v, shapes, starts, xy, w, 64)

    assert_same_values_and_gradients(
        op,
        lambda v, xy, w: slow_deform_attention(v, xy, w, sizes),
        [value, locations, weights],
        device,
    )
