import open_clip
import pytest
import torch
from safetensors.torch import save_file

from ext.open_clip import build_text_encoder
from seg.models.backbones import OpenCLIPBackboneText
from seg.registry import MODELS
from seg.utils.checks import UserError

TEXT = {'context_length': 12, 'vocab_size': 49408, 'width': 16, 'heads': 2, 'layers': 2}
VISION = {'layers': [1, 1, 1, 1], 'width': 8, 'head_width': 16, 'image_size': 32}
PHRASES = ['a red disc', 'The dog left of a  tree', 'Ærøskøbing & 東京 😀']


@pytest.fixture(autouse=True)
def tiny_model(monkeypatch):
    torch.set_num_threads(1)
    config = {'embed_dim': 16, 'vision_cfg': VISION, 'text_cfg': TEXT}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, 'tiny', config)
    quick = {**config, 'quick_gelu': True}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, 'tiny-quickgelu', quick)


def init_from(path):
    return {'type': 'clip_pretrain', 'checkpoint': str(path)}


def save_clip(path, name='tiny', custom_text=False):
    torch.manual_seed(0)
    model = open_clip.create_model(name, force_custom_text=custom_text).eval()
    state = {key: value.contiguous() for key, value in model.state_dict().items()}
    if path.suffix == '.pt':
        torch.save({'state_dict': state}, path)
    else:
        save_file(state, path)
    return model


def loaded(path, name='tiny'):
    backbone = OpenCLIPBackboneText(name, init_cfg=init_from(path))
    backbone.init_weights()
    return backbone


@pytest.mark.parametrize('suffix', ['safetensors', 'pt'])
@pytest.mark.parametrize('custom_text', [False, True], ids=['plain', 'custom_text'])
@pytest.mark.parametrize('name', ['tiny', 'tiny-quickgelu'])
def test_embeddings_are_those_of_open_clip(tmp_path, suffix, custom_text, name):
    path = tmp_path / f'clip.{suffix}'
    model = save_clip(path, name, custom_text)
    backbone = loaded(path, name).train()
    tokens = open_clip.SimpleTokenizer(context_length=12)(PHRASES)
    expected = model.encode_text(tokens, normalize=True)
    embeddings = backbone(PHRASES)
    torch.testing.assert_close(embeddings, expected.detach())
    assert backbone.embed_channels == embeddings.shape[1] == 16
    assert not embeddings.requires_grad
    assert not any(p.requires_grad for p in backbone.parameters())


def test_autocast_leaves_the_precision_alone(tmp_path):
    save_clip(tmp_path / 'clip.safetensors')
    backbone = loaded(tmp_path / 'clip.safetensors')
    with torch.autocast('cpu', dtype=torch.bfloat16):
        inside = backbone(PHRASES)
    torch.testing.assert_close(inside, backbone(PHRASES))


def test_tags_of_quick_gelu_build_quick_gelu():
    with torch.device('meta'):
        towers = {
            source: build_text_encoder('ViT-B-32', source).tower
            for source in ('openai', 'laion2b_s34b_b79k', 'openai.safetensors', None)
        }
    quick = {
        source: isinstance(tower.transformer.resblocks[0].mlp.gelu, open_clip.model.QuickGELU)
        for source, tower in towers.items()
    }
    assert quick == {
        'openai': True,
        'laion2b_s34b_b79k': False,
        'openai.safetensors': False,
        None: False,
    }


def test_no_phrases_give_no_rows(tmp_path):
    save_clip(tmp_path / 'clip.safetensors')
    assert loaded(tmp_path / 'clip.safetensors')([]).shape == (0, 16)


def test_published_model_has_the_published_width():
    with torch.device('meta'):
        backbone = OpenCLIPBackboneText(init_cfg=init_from('openai'))
    assert backbone.embed_channels == 768
    assert sum(p.numel() for p in backbone.parameters()) == 123_650_304


def test_random_weights_are_never_used(tmp_path):
    save_clip(tmp_path / 'clip.safetensors')
    init = init_from(tmp_path / 'clip.safetensors')
    backbone = OpenCLIPBackboneText('tiny', init_cfg=init)
    with pytest.raises(UserError, match=r'weights were not loaded; call init_weights'):
        backbone(['a dog'])
    whole = loaded(tmp_path / 'clip.safetensors')
    backbone.load_state_dict(whole.state_dict())
    torch.testing.assert_close(backbone(['a dog']), whole(['a dog']))


def test_absent_weights_say_where_they_were_looked_for_and_how_to_get_them(tmp_path):
    path = tmp_path / 'absent.safetensors'
    with torch.device('meta'):
        backbone = OpenCLIPBackboneText('ViT-L-14', init_cfg=init_from(path))
    with pytest.raises(FileNotFoundError) as error:
        backbone.init_weights()
    for part in (str(path), 'ViT-L-14', 'laion2b_s32b_b82k', 'hf download'):
        assert part in str(error.value)


@pytest.mark.parametrize(
    ('init_cfg', 'message'),
    [
        (None, 'random weights understands nothing'),
        ({'type': 'Pretrained', 'checkpoint': 'x'}, 'random weights understands nothing'),
        ({'type': 'clip_pretrain', 'checkpoint': ''}, 'checkpoint=FILE_OR_TAG'),
        ({'type': 'clip_pretrain', 'checkpoint': 'x', 'map': 1}, 'checkpoint=FILE_OR_TAG'),
    ],
)
def test_other_initialisations_are_refused(init_cfg, message):
    with pytest.raises(UserError, match=message):
        OpenCLIPBackboneText('tiny', init_cfg=init_cfg)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        ('ViT-L-41', r"unknown open_clip model 'ViT-L-41'.*Did you mean"),
        ('ViT-B-16-SigLIP', "open_clip's own causal text tower"),
    ],
)
def test_models_without_such_a_tower_are_refused(name, message):
    with pytest.raises(UserError, match=message):
        MODELS.build(
            {'type': 'OpenCLIPBackboneText', 'model_name': name, 'init_cfg': init_from('openai')}
        )


def test_a_file_without_a_text_tower_is_refused(tmp_path):
    save_file({'visual.conv1.weight': torch.zeros(3)}, tmp_path / 'image.safetensors')
    with pytest.raises(UserError, match=r'image\.safetensors: .* text tower'):
        loaded(tmp_path / 'image.safetensors')
