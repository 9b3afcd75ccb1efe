import open_clip
import pytest
import torch
from safetensors.torch import save_file

from seg.models.backbones import OpenCLIPBackbone
from seg.registry import MODELS
from seg.utils.checks import UserError

TEXT = {'context_length': 77, 'vocab_size': 49408, 'width': 16, 'heads': 2, 'layers': 1}
RESNET = {'layers': [1, 1, 2, 1], 'width': 8, 'head_width': 16, 'image_size': 64}
CONVNEXT = {'timm_model_name': 'convnext_atto', 'timm_pool': '', 'timm_proj': 'mlp'}
TINY = {'tiny-resnet': RESNET, 'tiny-convnext': CONVNEXT}


@pytest.fixture(autouse=True)
def tiny_models(monkeypatch):
    torch.set_num_threads(1)
    for name, vision in TINY.items():
        config = {'embed_dim': 16, 'vision_cfg': vision, 'text_cfg': TEXT}
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)


def clip_model(name, seed=0):
    torch.manual_seed(seed)
    model = open_clip.create_model(name).eval()
    for module in model.visual.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.weight.data.uniform_(0.5, 1.5)
    return model


def save_clip(name, path, seed=0):
    model = clip_model(name, seed)
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, path)
    return model


@pytest.mark.parametrize(
    ('name', 'channels', 'num_parameters'),
    [
        ('convnext_large_d_320', (192, 384, 768, 1536), 196_227_264),
        ('convnext_base', (128, 256, 512, 1024), None),
        ('RN50', (256, 512, 1024, 2048), 23_527_264),
        ('RN50x4', (320, 640, 1280, 2560), None),
    ],
)
def test_published_towers_have_the_four_strides(name, channels, num_parameters):
    with torch.device('meta'):
        backbone = OpenCLIPBackbone(name)
        feats = backbone(torch.zeros(2, 3, 96, 128))
    assert backbone.out_channels == channels
    strides = (4, 8, 16, 32)
    expected = [(2, c, 96 // s, 128 // s) for c, s in zip(channels, strides, strict=True)]
    assert [tuple(feat.shape) for feat in feats] == expected
    if num_parameters is not None:
        assert sum(p.numel() for p in backbone.parameters()) == num_parameters


@pytest.mark.parametrize('name', TINY)
@pytest.mark.parametrize('as_pickle', [False, True], ids=['safetensors', 'pt'])
def test_loaded_weights_give_the_features_of_open_clip(name, as_pickle, tmp_path):
    path = tmp_path / ('clip.pt' if as_pickle else 'clip.safetensors')
    model = save_clip(name, path) if not as_pickle else clip_model(name)
    if as_pickle:
        torch.save({'state_dict': model.state_dict()}, path)
    torch.manual_seed(1)
    backbone = OpenCLIPBackbone(name, init_cfg={'type': 'clip_pretrain', 'checkpoint': str(path)})
    backbone.init_weights()
    image = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        feats = backbone.train()(image)
        expected = model.visual.forward_intermediates(image, intermediates_only=True)
    for feat, want in zip(feats, expected['image_intermediates'][-4:], strict=True):
        assert feat.std() > 0.01
        torch.testing.assert_close(feat, want)


@pytest.mark.parametrize('name', TINY)
@pytest.mark.parametrize('out_indices', [(0,), (1, 2), (0, 3)])
def test_fewer_stages_give_the_same_maps_with_no_idle_weights(name, out_indices, tmp_path):
    path = tmp_path / 'clip.safetensors'
    save_clip(name, path)
    init = {'type': 'clip_pretrain', 'checkpoint': str(path)}
    whole = OpenCLIPBackbone(name, frozen=False, init_cfg=init)
    part = OpenCLIPBackbone(name, out_indices=out_indices, frozen=False, init_cfg=init)
    for backbone in (whole, part):
        backbone.init_weights()
        backbone.eval()
    image = torch.randn(1, 3, 64, 64)
    feats = part(image)
    assert part.out_channels == tuple(whole.out_channels[i] for i in out_indices)
    for feat, index in zip(feats, out_indices, strict=True):
        torch.testing.assert_close(feat, whole(image)[index])
    sum(feat.square().sum() for feat in feats).backward()
    assert [n for n, p in part.named_parameters() if p.grad is None] == []


def test_frozen_weights_stay_and_train_mode_changes_nothing():
    backbone = OpenCLIPBackbone('tiny-resnet', frozen=True).train()
    before = {k: v.clone() for k, v in backbone.state_dict().items()}
    image = torch.randn(2, 3, 64, 64)
    feats = backbone(image)
    assert not any(p.requires_grad for p in backbone.parameters())
    assert not feats[-1].requires_grad
    torch.testing.assert_close(backbone.eval()(image)[-1], feats[-1])
    torch.testing.assert_close(backbone.state_dict(), before)


@pytest.mark.parametrize(('norm_eval', 'moves'), [(True, False), (False, True)])
def test_norm_eval_keeps_the_stored_statistics(norm_eval, moves):
    backbone = OpenCLIPBackbone('tiny-resnet', frozen=False, norm_eval=norm_eval).train()
    before = backbone.trunk.bn1.running_mean.clone()
    backbone(torch.randn(2, 3, 64, 64))
    assert torch.equal(before, backbone.trunk.bn1.running_mean) is not moves
    assert backbone.trunk.bn1.weight.requires_grad


def test_it_builds_from_a_config():
    backbone = MODELS.build({'type': 'OpenCLIPBackbone', 'model_name': 'tiny-convnext'})
    assert backbone.out_channels == (40, 80, 160, 320)


def test_the_constructor_reads_no_file():
    init = {'type': 'clip_pretrain', 'checkpoint': 'absent/clip.safetensors'}
    assert OpenCLIPBackbone('tiny-resnet', init_cfg=init).init_cfg == init


def test_absent_weights_say_where_they_were_looked_for_and_how_to_get_them(tmp_path):
    init = {'type': 'clip_pretrain', 'checkpoint': str(tmp_path / 'clip.safetensors')}
    with torch.device('meta'):
        backbone = OpenCLIPBackbone('convnext_large_d_320', init_cfg=init)
    with pytest.raises(FileNotFoundError) as error:
        backbone.init_weights()
    for part in (str(tmp_path / 'clip.safetensors'), 'laion2b_s29b_b131k_ft_soup', 'hf download'):
        assert part in str(error.value)


def test_a_tag_without_network_or_cache_is_one_clear_error(monkeypatch):
    def offline(config):
        raise FileNotFoundError(f'Failed to download file for {config["hf_hub"]}')

    monkeypatch.setattr(open_clip, 'download_pretrained', offline)
    with torch.device('meta'):
        backbone = OpenCLIPBackbone(
            'RN50', init_cfg={'type': 'clip_pretrain', 'checkpoint': 'yfcc15m'}
        )
    with pytest.raises(OSError, match=r"'yfcc15m' of RN50: cannot be downloaded.*hf download"):
        backbone.init_weights()


def test_a_tag_loads_the_file_that_open_clip_keeps(monkeypatch, tmp_path):
    path = tmp_path / 'clip.safetensors'
    model = save_clip('tiny-resnet', path)
    monkeypatch.setattr(open_clip, 'list_pretrained_tags_by_model', lambda name: ['some_tag'])
    monkeypatch.setattr(open_clip, 'get_pretrained_cfg', lambda name, tag: {'hf_hub': 'a/b'})
    monkeypatch.setattr(open_clip, 'download_pretrained', lambda config: str(path))
    backbone = OpenCLIPBackbone(
        'tiny-resnet', init_cfg={'type': 'clip_pretrain', 'checkpoint': 'some_tag'}
    )
    backbone.init_weights()
    assert torch.equal(backbone.trunk.conv1.weight, model.visual.conv1.weight)


def test_weights_of_another_architecture_are_refused(tmp_path):
    path = tmp_path / 'clip.safetensors'
    save_clip('tiny-convnext', path)
    init = {'type': 'clip_pretrain', 'checkpoint': str(path)}
    with pytest.raises(UserError, match=r'clip\.safetensors'):
        OpenCLIPBackbone('tiny-resnet', init_cfg=init).init_weights()


def test_weights_of_a_deeper_tower_are_refused(monkeypatch, tmp_path):
    path = tmp_path / 'clip.safetensors'
    save_clip('tiny-resnet', path)
    config = {'embed_dim': 16, 'vision_cfg': {**RESNET, 'layers': [1, 1, 1, 1]}, 'text_cfg': TEXT}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, 'tiny-shallow', config)
    init = {'type': 'clip_pretrain', 'checkpoint': str(path)}
    with pytest.raises(UserError, match=r'unexpected.*layer3\.1'):
        OpenCLIPBackbone('tiny-shallow', init_cfg=init).init_weights()


def test_a_file_without_an_image_tower_is_refused(tmp_path):
    path = tmp_path / 'other.safetensors'
    save_file({'conv1.weight': torch.zeros(3)}, path)
    init = {'type': 'clip_pretrain', 'checkpoint': str(path)}
    with pytest.raises(UserError, match=r'visual tower, got conv1\.weight'):
        OpenCLIPBackbone('tiny-resnet', init_cfg=init).init_weights()


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'model_name': 'RN5O'}, "unknown open_clip model 'RN5O'.*Did you mean 'RN50'"),
        ({'model_name': 'hf-hub:laion/model'}, 'unknown open_clip model'),
        ({'model_name': 'ViT-B-32'}, 'ConvNeXt or ResNet image tower'),
        ({'out_indices': (0, 4)}, r'out of 0\.\.3 in ascending order, got \[0, 4\]'),
        ({'out_indices': (2, 1)}, 'ascending'),
        ({'out_indices': ()}, 'ascending'),
        ({'init_cfg': {'type': 'clip_pretrain'}}, 'checkpoint=FILE_OR_TAG'),
    ],
)
def test_wrong_arguments_are_errors(arguments, message):
    with pytest.raises(UserError, match=message):
        OpenCLIPBackbone(**{'model_name': 'tiny-resnet', **arguments})
