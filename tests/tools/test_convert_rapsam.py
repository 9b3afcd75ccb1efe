"""Published checkpoints to checkpoints of this package, file to file."""

import json
import re
import runpy
import shutil
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from seg.apis import load_model
from seg.datasets.label_space import LabelSpace
from seg.models.classifiers.text_prompts import write_text_embedding
from seg.testing.published_layout import published_layout
from seg.utils.checkpoints import read_checkpoint, read_metadata, read_weights

TOOL = Path(__file__).parents[2] / 'tools' / 'model_converters' / 'convert_rapsam.py'
CONFIGS = Path(__file__).parents[2] / 'configs'
SMALL_CONFIG = """
from mmengine.config import read_base

with read_base():
    from .._base_.models.rap_sam_r18 import *

model.update(
    backbone=dict(init_cfg=None),
    head=dict(num_things=2, num_stuff=1, num_queries=9, embed_channels=24),
)
"""


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool in this process: exit code, standard output, standard error."""

    def run_tool(*arguments):
        monkeypatch.setattr('sys.argv', [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(TOOL), run_name='__main__')
        return stop.value.code, *capsys.readouterr()

    return run_tool


def published_state(depth, **sizes):
    """Tensors of the published shapes that take no memory: one value, repeated."""
    layout = published_layout(depth, **sizes)
    return {
        name: torch.full((), 0.01 * (i % 7)).expand(shape)
        for i, (name, shape) in enumerate(layout.items())
    }


@pytest.fixture
def embedding(tmp_path):
    """Text prototypes of three classes, two synonyms for the first."""
    path = tmp_path / 'classes.safetensors'
    rows = F.normalize(torch.randn(3, 2, 24), dim=-1)
    write_text_embedding(
        path, rows, LabelSpace.from_names('toy', ['cat, kitty', 'dog'], ['sky']), {}
    )
    return path, rows


def test_the_full_layout_with_resnet_50(tmp_path, run):
    source, out = tmp_path / 'rapsam_r50_12e.pth', tmp_path / 'new' / 'converted.pth'
    state = published_state(50)
    torch.save({'state_dict': state, 'optimizer': {'lr': 0.1}}, source)
    code, stdout, stderr = run(source, out)
    converted = read_weights(out)

    assert code == 0, stderr
    assert json.loads(stdout.splitlines()[-1]) == {
        'out': str(out),
        'backbone': 'r50',
        'tensors': 568,
        'parameters': 47_252_245,
        'num_queries': 100,
        'embed_channels': 768,
        'prototypes': None,
    }
    assert 'no --embedding' in stderr
    fusion = {k: v for k, v in converted.items() if '.prompt_encoder.fusion.' in k}
    click = converted['head.prompt_encoder.type_embed.weight'][1]
    assert len(converted) == 568 + 1 + len(fusion)
    assert (fusion['head.prompt_encoder.fusion.kind_embed.weight'] == click).all()
    assert not fusion['head.prompt_encoder.fusion.attn.out_proj.weight'].any()
    assert not converted['head.router.task_embed.weight'].any()
    for old, new in {
        'backbone.layer4.2.bn3.running_var': 'backbone.layer4.2.bn3.running_var',
        'neck.deconv.deform_conv1.dcn.weight': 'neck.up_blocks.2.deform_conv.weight',
        'neck.deconv.lateral_conv3.bias': 'neck.lateral_convs.0.bias',
        'panoptic_head.kernels.weight': 'head.object_queries.weight',
        'panoptic_head.mask_heads.2.cls_proj.4.weight': 'head.stages.2.class_mlp.4.weight',
        'panoptic_head.panoptic_attn.norm_in.bias': (
            'head.object_adapter.kernel_update.update_gate_norm.bias'
        ),
    }.items():
        assert converted[new].shape == state[old].shape
        assert converted[new].flatten()[0] == state[old].flatten()[0]


def test_a_converted_file_with_prototypes_loads_and_predicts(tmp_path, run, embedding):
    path, rows = embedding
    source, out = tmp_path / 'public.pth', tmp_path / 'converted.pth'
    torch.save(published_state(18, embed_channels=24, num_queries=9), source)
    code, stdout, stderr = run(source, out, '--embedding', path)
    assert code == 0, stderr
    assert json.loads(stdout.splitlines()[-1])['prototypes'] == [3, 2, 24]
    assert read_checkpoint(out)['meta']['dataset_meta']['num_things'] == 2

    shutil.copytree(CONFIGS, tmp_path / 'configs')
    config = tmp_path / 'configs' / 'rap_sam' / 'small.py'
    config.write_text(SMALL_CONFIG)
    model = load_model(config, out, 'cpu')

    torch.testing.assert_close(model.head.classifier.prototypes, rows)
    assert model.dataset_meta['classes'] == ('cat', 'dog', 'sky')


def test_safetensors_carry_the_class_names(tmp_path, run, embedding):
    path, rows = embedding
    source, out = tmp_path / 'public.pth', tmp_path / 'converted.safetensors'
    state = published_state(18, embed_channels=24, num_queries=9)
    torch.save({name: value.to(torch.float16) for name, value in state.items()}, source)
    code, _, stderr = run(source, out, '--embedding', path)

    assert code == 0, stderr
    meta = json.loads(read_metadata(out)['dataset_meta'])
    assert meta['classes'] == ['cat', 'dog', 'sky']
    assert meta['num_things'] == 2
    torch.testing.assert_close(read_weights(out)['head.classifier.prototypes'], rows)


def damage_unknown(state):
    state['panoptic_head.text_fusion.weight'] = torch.zeros(3)


def damage_missing(state):
    del state['neck.loc_conv.bias']


def damage_shape(state):
    state['panoptic_head.fc_mask.weight'] = state.pop('panoptic_head.mask_heads.0.fc_mask.bias')


def damage_size(state):
    state['panoptic_head.mask_heads.1.fc_mask.weight'] = torch.zeros(256, 128)


def damage_all(state):
    state.clear()
    state['encoder.weight'] = torch.zeros(3)


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (damage_unknown, 'only tensors of the published model, got panoptic_head.text_fusion'),
        (damage_missing, 'expected 370 tensors, got 369; missing .* neck.out_conv.bias'),
        (damage_shape, 'got panoptic_head.fc_mask.weight'),
        (damage_size, r'mask_heads.1.fc_mask.weight \(256, 128\) instead of \(256, 256\)'),
        (damage_all, 'expected a published RapSAM checkpoint .* got encoder.weight'),
    ],
)
def test_what_does_not_fit_is_named_and_nothing_written(tmp_path, run, damage, message):
    source, out = tmp_path / 'public.pth', tmp_path / 'converted.pth'
    state = published_state(18)
    damage(state)
    torch.save(state, source)
    code, _, stderr = run(source, out)

    assert code == 2
    assert len(stderr.splitlines()) == 1
    assert re.search(message, stderr), stderr
    assert not out.exists()


def test_prototypes_of_another_width_are_refused(tmp_path, run, embedding):
    source = tmp_path / 'public.pth'
    torch.save(published_state(18), source)
    code, _, stderr = run(source, tmp_path / 'out.pth', '--embedding', embedding[0])

    assert code == 2
    assert 'width 768' in stderr
    assert 'got width 24' in stderr


def test_a_file_that_needs_unpickling_is_refused(tmp_path, run):
    source = tmp_path / 'public.pth'
    torch.save({'state_dict': {}, 'hook': Path('x')}, source)
    code, _, stderr = run(source, tmp_path / 'out.pth')

    assert code == 2
    assert len(stderr.splitlines()) == 1


@pytest.mark.parametrize(('out', 'word'), [('out.bin', 'ends in'), ('public.pth', 'another file')])
def test_unusable_output_names_are_refused(tmp_path, run, out, word):
    code, _, stderr = run(tmp_path / 'public.pth', tmp_path / out)

    assert code == 2
    assert word in stderr


def test_missing_input_is_named(tmp_path, run):
    code, _, stderr = run(tmp_path / 'no.pth', tmp_path / 'out.pth')

    assert code == 2
    assert 'no.pth' in stderr
