"""EfficientSAM's modules: names, counts and numbers of the published models."""

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from ext.efficient_sam import EfficientSam, boxes_as_points, efficient_sam_variant
from seg.testing.efficient_sam_parity import EfficientSamGolden
from seg.testing.reference_sam import randomize
from seg.testing.toy_efficient_sam import TOY_EFFICIENT_SAM
from seg.utils.checkpoints import load_weights, read_weights
from seg.utils.checks import UserError

GOLDENS = Path(__file__).parents[2] / 'data' / 'efficient_sam'
SPECS = json.loads((GOLDENS / 'names.json').read_text())


def toy():
    model = EfficientSam(efficient_sam_variant(TOY_EFFICIENT_SAM)).eval()
    randomize(model)
    return model


@pytest.mark.parametrize(('name', 'count'), [('vitt', 10_223_204), ('vits', 26_413_028)])
def test_names_and_counts_are_those_of_the_published_files(name, count):
    with torch.device('meta'):
        model = EfficientSam(efficient_sam_variant(name))
    shapes = {key: list(value.shape) for key, value in model.state_dict().items()}

    assert shapes == SPECS[name]['shapes']
    assert len(shapes) == 278
    assert sum(value.numel() for value in model.parameters()) == count


@pytest.mark.parametrize('name', ['vitt', 'vits'])
def test_a_file_like_the_published_ones_loads_strictly(tmp_path, name):
    """Files hold the weights under ``model``; here every tensor is one repeated number."""
    state = {key: torch.ones(1).expand(shape) for key, shape in SPECS[name]['shapes'].items()}
    torch.save({'model': state, 'epoch': 3}, tmp_path / 'weights.pt')
    with torch.device('meta'):
        model = EfficientSam(efficient_sam_variant(name))
    model = model.to_empty(device='cpu')
    report = load_weights(model, read_weights(tmp_path / 'weights.pt'))

    assert report.complete
    assert report.num_loaded == 278
    assert all(bool((value == 1).all()) for value in model.parameters())


@pytest.mark.slow
def test_numbers_of_s_equal_the_public_program(shared_dir):
    """The first of the two images, at 1024 x 1024; Ti is compared by the parity tool's test."""
    with np.load(shared_dir / 'fixtures/efficient_sam/vits.npz') as stored:
        arrays = {key: torch.from_numpy(stored[key])[:1] for key in stored.files}
    model = EfficientSam(efficient_sam_variant('vits'))
    for key, value in EfficientSamGolden(SPECS['vits'], arrays, model).outputs():
        assert torch.allclose(value, arrays[key], atol=1e-4), key


def test_fused_attention_equals_the_naive_product():
    block = toy().image_encoder.blocks[0].attn
    x = torch.randn(2, 3, 4, 24)
    q, k, v = block.qkv(x.flatten(1, 2)).reshape(2, 12, 3, 3, 8).permute(2, 0, 3, 1, 4)
    weights = (q @ k.transpose(-1, -2) / math.sqrt(8)).softmax(dim=-1)
    expected = block.proj((weights @ v).transpose(1, 2).reshape(2, 3, 4, 24))

    assert torch.allclose(block(x), expected, atol=1e-6)


def test_boxes_are_two_corners_with_labels_2_and_3_in_pixels():
    points, labels = boxes_as_points(torch.tensor([[3.0, 4.0, 50.0, 60.0]]))
    assert points.tolist() == [[[3.0, 4.0], [50.0, 60.0]]]
    assert labels.tolist() == [[2, 3]]


def test_queries_that_fill_up_a_batch_change_nothing():
    model = toy()
    image = torch.rand(2, 3, 40, 56)
    points = torch.rand(2, 1, 2, 2) * 40
    labels = torch.tensor([[[2, 3]], [[1, -1]]])
    alone = model(image, points, labels)
    padded = model(
        image,
        torch.cat([points, torch.zeros(2, 2, 2, 2)], dim=1),
        torch.cat([labels, torch.full((2, 2, 2), -1)], dim=1),
    )
    assert alone[0].shape == (2, 1, 3, 40, 56)
    for want, got in zip(alone, padded, strict=True):
        assert torch.allclose(want, got[:, :1], atol=1e-5)


@pytest.mark.parametrize('size', [32, 48, 80])
def test_other_canvases_work(size):
    model = EfficientSam(efficient_sam_variant(TOY_EFFICIENT_SAM), size)
    image = torch.rand(1, 3, 30, 50)
    masks, scores = model(image, torch.tensor([[[[10.0, 12.0]]]]), torch.ones(1, 1, 1).long())

    assert model.embed(image).shape == (1, 32, size // 16, size // 16)
    assert masks.shape == (1, 1, 3, 30, 50)
    assert scores.shape == (1, 1, 3)


def test_seven_points_and_unknown_labels_are_refused():
    model = toy()
    image = torch.rand(1, 3, 32, 32)
    with pytest.raises(ValueError, match='at most 6 per prompt, a box counting as two, got 7'):
        model(image, torch.rand(1, 1, 7, 2), torch.ones(1, 1, 7).long())
    with pytest.raises(ValueError, match=r'no embedding for others, negative clicks \(0\)'):
        model(image, torch.rand(1, 1, 1, 2), torch.zeros(1, 1, 1).long())


def test_wrong_variants_are_named():
    with pytest.raises(UserError, match="unknown EfficientSAM variant 'vith'"):
        efficient_sam_variant('vith')
    with pytest.raises(UserError, match='num_heads to divide embed_dim'):
        efficient_sam_variant({**TOY_EFFICIENT_SAM, 'num_heads': 5})
    with pytest.raises(UserError, match=r"unknown size .* 'embed_dims'.*Did you mean 'embed_dim'"):
        efficient_sam_variant({**TOY_EFFICIENT_SAM, 'embed_dims': 5})
    with pytest.raises(UserError, match=r'expected a name .* or a dict of sizes, got None'):
        efficient_sam_variant(None)
