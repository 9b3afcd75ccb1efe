"""Weights packed for shipping are those of the checkpoint, in half precision, and nothing else."""

import json
from pathlib import Path

import pytest
import torch

from seg.utils.checkpoints import read_metadata, read_weights, write_checkpoint


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    path = tmp_path / 'iter_5.pth'
    content = {
        'state_dict': {'a.weight': torch.rand(3, 4), 'a.num_batches_tracked': torch.tensor(7)},
        'optimizer': {'state': {0: torch.rand(9)}},
        'meta': {'dataset_meta': {'classes': ['disc'], 'num_things': 1}},
    }
    write_checkpoint(path, content)
    return path


TOOL = 'model_converters/pack_weights'


def test_packed_weights_are_halved_and_carry_the_classes(run_tool, checkpoint, tmp_path) -> None:
    out = tmp_path / 'packed.safetensors'
    code, _, errors = run_tool(TOOL, checkpoint, out)

    assert code == 0, errors
    packed, original = read_weights(out), read_weights(checkpoint)
    assert packed.keys() == original.keys()
    assert packed['a.weight'].dtype == torch.float16
    assert torch.equal(packed['a.weight'], original['a.weight'].half())
    assert packed['a.num_batches_tracked'] == 7
    assert json.loads(read_metadata(out)['dataset_meta'])['classes'] == ['disc']


def test_another_suffix_is_refused(run_tool, checkpoint, tmp_path) -> None:
    code, _, errors = run_tool(TOOL, checkpoint, tmp_path / 'packed.pth')

    assert code == 2
    assert 'expected a name that ends in .safetensors' in errors
    assert not (tmp_path / 'packed.pth').exists()


def test_a_checkpoint_without_class_names_is_refused(run_tool, tmp_path) -> None:
    write_checkpoint(tmp_path / 'w.pth', {'state_dict': {'a': torch.ones(2)}, 'meta': None})
    code, _, errors = run_tool(TOOL, tmp_path / 'w.pth', tmp_path / 'packed.safetensors')

    assert code == 2
    assert errors.startswith('error: ') and 'expected class names' in errors
