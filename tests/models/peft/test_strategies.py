import importlib.util

import pytest
import torch
from mmengine.runner.checkpoint import load_state_dict as host_load_state_dict

from seg.models.peft import TrainLora
from seg.models.peft.lora import lora_layers, merged_state
from seg.registry import MODELS
from seg.testing.reference_sam import TOY_SAM, randomize
from seg.utils.checkpoints import load_weights
from seg.utils.checks import UserError

LORA = dict(type='TrainLora', rank=2, alpha=4.0, dropout=0.0)
ADAPTERS = dict(type='TrainAdapters', hidden=4)
HAS_PEFT = importlib.util.find_spec('peft') is not None
needs_peft = pytest.mark.skipif(not HAS_PEFT, reason='peft is not installed')
WITH_PARTS = [pytest.param(LORA, marks=needs_peft), ADAPTERS]
IMAGE = (1, 3, 128, 128)


def build(strategy=None, variant=TOY_SAM):
    return MODELS.build(dict(type='SamSegmentor', variant=variant, strategy=strategy)).eval()


def base_state():
    model = build()
    randomize(model)
    return model.state_dict()


def trained(model):
    return {
        part: sum(p.numel() for p in getattr(model, part).parameters() if p.requires_grad)
        for part in ('image_encoder', 'prompt_encoder', 'mask_decoder')
    }


@pytest.mark.parametrize(
    ('strategy', 'encoder'),
    [
        (dict(type='TrainDecoder'), 0),
        (dict(type='TrainAll'), 89_670_912),
        pytest.param(dict(type='TrainLora'), 442_368, marks=needs_peft),
        (dict(type='TrainAdapters'), 2 * 12 * (768 * 64 + 64 + 64 * 768 + 768)),
    ],
)
def test_trained_parameters_of_vit_b(strategy, encoder):
    with torch.device('meta'):
        model = build(strategy, 'vit_b')

    assert trained(model) == dict(
        image_encoder=encoder, prompt_encoder=6_220, mask_decoder=4_058_340
    )


@pytest.mark.parametrize('strategy', [dict(type='TrainAll'), *WITH_PARTS])
def test_step_zero_is_the_base_model(strategy):
    state, images = base_state(), torch.randn(IMAGE)
    base, tuned = build(), build(strategy)
    base.load_state_dict(state)
    report = load_weights(tuned, state, strict=False)

    assert report.num_loaded == len(state)
    assert not report.unexpected
    assert torch.equal(tuned.encode_images(images), base.encode_images(images))


@pytest.mark.parametrize('strategy', WITH_PARTS)
def test_base_names_stay_and_everything_loads_back(strategy):
    state = base_state()
    first, second = build(strategy), build(strategy)
    load_weights(first, state, strict=False)
    randomize(first, seed=1)
    load_weights(second, first.state_dict(), strict=True)
    third = build(strategy)
    host_load_state_dict(third, first.state_dict(), strict=True)
    images = torch.randn(IMAGE)

    assert set(state) < set(first.state_dict())
    assert torch.equal(first.encode_images(images), second.encode_images(images))
    assert torch.equal(first.encode_images(images), third.encode_images(images))


@needs_peft
def test_merged_weights_give_the_same_embeddings():
    tuned, plain = build(LORA), build()
    load_weights(tuned, base_state(), strict=False)
    randomize(tuned, seed=1)
    plain.load_state_dict(merged_state(tuned))
    images = torch.randn(IMAGE)

    assert len(lora_layers(tuned)) == 4
    assert torch.allclose(plain.encode_images(images), tuned.encode_images(images), atol=1e-5)


@needs_peft
def test_updates_stay_within_attention_of_the_chosen_blocks():
    layers = lora_layers(build({**LORA, 'first_block': 1, 'targets': ('qkv', 'lin1')}))

    assert set(layers) == {
        'image_encoder.blocks.1.attn.qkv',
        'image_encoder.blocks.1.mlp.lin1',
    }


@pytest.mark.parametrize('strategy', WITH_PARTS)
def test_every_added_parameter_learns(strategy):
    model = build(strategy).train()
    load_weights(model, base_state(), strict=False)
    for name, value in model.named_parameters():
        if 'lora_B' in name or '.up.' in name:
            torch.nn.init.normal_(value, std=0.1)
    model.encode_images(torch.randn(IMAGE)).square().sum().backward()
    added = {n: p for n, p in model.image_encoder.named_parameters() if p.requires_grad}

    assert added
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in added.values())


@needs_peft
@pytest.mark.parametrize(
    ('settings', 'message'),
    [
        (dict(rank=0), 'strategy.rank: expected at least 1, got 0'),
        (dict(targets=('qkv', 'attention')), r'strategy.targets: .*qkv, proj, lin1, lin2.*attent'),
        (dict(targets=()), 'strategy.targets'),
        (dict(dropout=1.0), 'strategy.dropout'),
        (dict(first_block=2), 'strategy.first_block: expected a block from 0 to 1, got 2'),
    ],
)
def test_wrong_settings_of_lora_are_named(settings, message):
    with pytest.raises(UserError, match=message):
        build({**LORA, **settings})


def test_wrong_settings_of_adapters_are_named():
    with pytest.raises(UserError, match=r'strategy\.hidden: expected at least 1'):
        build({**ADAPTERS, 'hidden': 0})
    with pytest.raises(UserError, match=r'strategy\.places'):
        build({**ADAPTERS, 'places': ('attn', 'neck')})
    with pytest.raises(UserError, match='frozen as a whole'):
        build(dict(type='TrainDecoder', prompt_encoder=False, mask_decoder=False))


def test_lora_without_peft_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(__import__('sys').modules, 'peft', None)
    with pytest.raises(UserError, match=r"pip install 'rapsam\[peft\]'"):
        build(LORA)


def test_lora_is_the_default_of_the_guide():
    strategy = TrainLora()
    assert (strategy.rank, strategy.alpha, strategy.dropout) == (8, 32.0, 0.1)
    assert strategy.targets is None
