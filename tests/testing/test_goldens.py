"""Golden weights and the comparison with stored outputs."""

import json
import runpy

import numpy as np
import pytest
import torch

from seg.testing.goldens import golden_features, golden_prototypes, golden_weights
from seg.testing.parity import compare


@pytest.mark.data
def test_weights_follow_the_rule_of_the_fixtures(shared_dir):
    """The rule as its author wrote it is run here, and only here, as the reference."""
    folder = shared_dir / 'fixtures' / 'rapsam'
    rule = runpy.run_path(str(folder / 'weights.py'))
    spec = json.loads((folder / 'names.json').read_text())['public']
    chosen = dict(list(spec['shapes'].items())[::17])
    assert any('dcn_offset' in name for name in spec['shapes'])
    chosen['neck.deconv.deform_conv1.dcn_offset.weight'] = [27, 4, 3, 3]
    for name, value in golden_weights(chosen, spec['seed']).items():
        expected = rule['synthesize'](name, tuple(chosen[name]), spec['seed'])
        assert value.numpy().dtype == expected.dtype
        np.testing.assert_array_equal(value.numpy(), expected)
    np.testing.assert_array_equal(
        golden_prototypes(5, 8, 3).numpy(), rule['class_embedding'](5, 8, 3)
    )
    np.testing.assert_array_equal(
        golden_features((2, 3, 4), 3, 10).numpy(), rule['features']((2, 3, 4), 3, 10)
    )


@pytest.mark.data
@pytest.mark.parametrize('name', ['names.json', 'public.npz'])
def test_the_goldens_kept_here_are_the_shared_ones(repository, shared_dir, name):
    kept = repository / 'tests' / 'data' / 'rapsam' / name

    assert kept.read_bytes() == (shared_dir / 'fixtures' / 'rapsam' / name).read_bytes()


def test_class_logits_are_judged_by_their_magnitude_and_the_rest_by_value():
    golden = torch.tensor([1000.0, 1.0])
    off = golden + torch.tensor([0.0, 5e-3])

    assert compare('image_cls_0', off, golden).within
    assert not compare('image_mask_0', off, golden).within
    assert not compare('image_cls_0', golden + 0.02, golden).within
    assert compare('image_mask_0', golden + 0.0004, golden).within


def test_another_shape_is_off():
    assert not compare('image_mask_0', torch.zeros(2, 3), torch.zeros(3, 2)).within


def test_values_that_are_not_numbers_are_off():
    golden = torch.ones(3)

    assert not compare('image_mask_0', torch.full((3,), torch.nan), golden).within
    assert not compare('image_cls_0', torch.full((3,), torch.nan), golden).within
