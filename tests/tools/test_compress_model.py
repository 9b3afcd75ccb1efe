"""Smaller files of SAM 3: the same answers, fewer bytes, and honest coverage."""

import importlib.util
import json
import runpy
from dataclasses import asdict

import pytest
import torch

from ext.sam3 import SAM3_VARIANTS, kept_blocks
from seg.engine.config_options import load_config
from seg.models.detectors import Sam3Segmentor
from seg.registry import MODELS
from seg.structures import ClipSample, Prompts
from seg.utils.checkpoints import load_weights, read_weights
from seg.utils.checks import UserError
from seg.utils.weight_coverage import inherit_weights

needs_host = pytest.mark.skipif(
    importlib.util.find_spec('transformers') is None, reason='needs transformers'
)
CONFIG = 'configs/sam3/sam3_tiny_shapes.py'


def run_tool(repository, monkeypatch, capsys, name, *args):
    path = repository / 'tools' / name
    monkeypatch.setattr('sys.argv', [str(path), *map(str, args)])
    with pytest.raises(SystemExit) as stop:
        runpy.run_path(str(path), run_name='__main__')
    out, err = capsys.readouterr()
    assert not stop.value.code, err
    return json.loads(out.splitlines()[-1])


def found_masks(model, images):
    sample = ClipSample(metainfo=dict(img_shape=(64, 64), ori_shape=(64, 64)))
    sample.prompts = Prompts.create(texts=['circle', 'star'])
    with torch.no_grad():
        return model.predict(images, [sample])[0].pred_prompted.masks[:, 0, 0]


@needs_host
def test_compressed_model_gives_the_same_masks(repository, tmp_path, monkeypatch, capsys):
    torch.manual_seed(0)
    model = Sam3Segmentor('tiny').eval()
    torch.save({'state_dict': model.state_dict()}, tmp_path / 'full.pth')
    args = (repository / CONFIG, tmp_path / 'full.pth', tmp_path / 'small')
    report = run_tool(
        repository, monkeypatch, capsys, 'compress_model.py', *args, '--phrases', 'circle', 'star'
    )
    cfg = load_config(tmp_path / 'small/config.py')
    small = MODELS.build(cfg.model).eval()
    load_weights(small, read_weights(tmp_path / 'small/model.safetensors'))
    images = torch.randn(1, 1, 3, 64, 64)
    before, after = found_masks(model, images), found_masks(small, images)
    overlap, union = (before & after).sum(), (before | after).sum()

    assert overlap / union > 0.99
    assert report['bytes'] < 0.2 * report['bytes_before']
    assert report['parameters_before'] == sum(value.numel() for value in model.parameters())
    assert report['parameters'] < 0.4 * report['parameters_before']
    again = (tmp_path / 'small/config.py', tmp_path / 'small/model.safetensors', tmp_path / 'one')
    report = run_tool(
        repository, monkeypatch, capsys, 'compress_model.py', *again, '--phrases', 'star'
    )
    assert report['parameters_before'] == report['parameters']
    assert load_config(tmp_path / 'one/config.py').model.phrases == ('star',)


@needs_host
def test_weights_that_are_missing_or_gated(repository, tmp_path, monkeypatch, capsys):
    def errors(config, checkpoint):
        path = repository / 'tools/compress_model.py'
        given = [path, repository / config, checkpoint, tmp_path / 'x']
        monkeypatch.setattr('sys.argv', list(map(str, given)))
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(path), run_name='__main__')
        assert stop.value.code == 2
        return capsys.readouterr().err

    assert 'https://huggingface.co/facebook/sam3' in errors(CONFIG, tmp_path / 'sam3.safetensors')
    (tmp_path / 'sam3.safetensors').write_bytes(b'Access is restricted')
    assert 'not a readable safetensors' in errors(CONFIG, tmp_path / 'sam3.safetensors')
    assert not (tmp_path / 'x').exists()


def test_pruning_keeps_global_blocks():
    kept = kept_blocks(32, SAM3_VARIANTS['depth_pruned'])

    assert len(set(kept)) == 24
    assert [kept[i] for i in (5, 11, 17, 23)] == [7, 15, 23, 31]
    assert kept == tuple(sorted(kept))
    with pytest.raises(UserError, match='expected 4 equal groups'):
        kept_blocks(16, SAM3_VARIANTS['depth_pruned'])


@needs_host
def test_depth_pruned_inherits_all_of_its_values_and_lite_is_refused():
    from ext.sam3 import TEXT_PARTS, build_sam3, image_weights, prune_blocks

    def sized(name):
        with torch.device('meta'):
            return build_sam3(SAM3_VARIANTS[name])

    state = image_weights(sized('standard').state_dict(), 'file')
    pruned = sized('depth_pruned')
    names = prune_blocks(state, SAM3_VARIANTS['depth_pruned'])
    coverage = inherit_weights(pruned, names, uncounted=TEXT_PARTS)

    assert coverage.total.share == 1
    with pytest.raises(UserError, match=r'12\.\d% of its values fit.*not counting text_encoder'):
        inherit_weights(sized('lite'), state, uncounted=TEXT_PARTS, name='the file')


@needs_host
def test_inherited_start_loads_what_fits(tmp_path):
    sizes = asdict(SAM3_VARIANTS['tiny']) | dict(vit_depth=2, global_blocks=(0, 1))
    deep = Sam3Segmentor(sizes | dict(vit_depth=4, global_blocks=(1, 3)))
    torch.save(deep.state_dict(), tmp_path / 'deep.pth')
    start = dict(type='Inherited', checkpoint=str(tmp_path / 'deep.pth'))
    model = Sam3Segmentor(sizes, init_cfg=start)
    model.init_weights()

    blocks = [m.vision_encoder.backbone.layers for m in (deep, model)]
    for new, old in ((0, 1), (1, 3)):
        assert torch.equal(blocks[0][old].mlp.fc1.weight, blocks[1][new].mlp.fc1.weight)


def test_weights_alone(repository, tmp_path, monkeypatch, capsys):
    state = {'a.weight': torch.randn(20, 30), 'a.count': torch.tensor(3)}
    moments = {0: {'exp_avg': torch.randn(20, 30), 'exp_avg_sq': torch.randn(20, 30)}}
    torch.save({'state_dict': state, 'optimizer': {'state': moments}}, tmp_path / 'x.pth')
    out = tmp_path / 'x.safetensors'
    report = run_tool(
        repository, monkeypatch, capsys, 'extract_model_weights.py', tmp_path / 'x.pth', out,
        '--half',
    )  # fmt: skip

    written = read_weights(out)
    assert written['a.weight'].dtype == torch.float16
    assert written['a.count'] == 3
    assert report['bytes'] < 0.3 * report['bytes_before']
