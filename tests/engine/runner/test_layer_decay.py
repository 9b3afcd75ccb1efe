"""Rates that fall from block to block, for encoders of any layout."""

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from torch import nn

from seg.engine.runner import LayerDecayConstructor
from seg.registry import MODELS
from seg.testing.reference_sam import TOY_SAM
from seg.utils.checks import UserError

ALL = dict(type='TrainAll')
MODEL_CONFIGS = {
    'sam': dict(type='SamSegmentor', variant={**TOY_SAM, 'depth': 2}, strategy=ALL),
    'sam3': dict(type='Sam3Segmentor', variant='tiny', strategy=ALL),
}


def wrapper_of(model, **paramwise):
    return build_optim_wrapper(
        model,
        dict(
            type='OptimWrapper',
            constructor=LayerDecayConstructor,
            optimizer=dict(type='AdamW', lr=1.0, weight_decay=0.0),
            paramwise_cfg=paramwise,
        ),
    )


def rates_of(model, **paramwise):
    """Rate of each trained parameter, by name."""
    names = {id(value): name for name, value in model.named_parameters()}
    groups = wrapper_of(model, **paramwise).optimizer.param_groups
    return {names[id(value)]: group['lr'] for group in groups for value in group['params']}


def test_rates_of_sam():
    model = MODELS.build(MODEL_CONFIGS['sam'])
    depth = len(model.image_encoder.blocks)
    rates = rates_of(model, layer_decay=0.5)

    assert rates['image_encoder.pos_embed'] == 0.5 ** (depth + 1)
    assert rates['image_encoder.patch_embed.proj.weight'] == 0.5 ** (depth + 1)
    assert rates['image_encoder.blocks.0.attn.qkv.weight'] == 0.5**depth
    assert rates[f'image_encoder.blocks.{depth - 1}.attn.qkv.weight'] == 0.5
    assert rates['image_encoder.neck.0.weight'] == 1.0
    assert rates['mask_decoder.iou_token.weight'] == 1.0


def test_rates_of_sam3_beside_other_rules():
    pytest.importorskip('transformers')
    model = MODELS.build(MODEL_CONFIGS['sam3'])
    keys = {'vision_encoder': dict(lr_mult=0.5)}
    rates = rates_of(model, layer_decay=0.9, custom_keys=keys)

    trunk = 'vision_encoder.backbone'
    assert rates[f'{trunk}.embeddings.position_embeddings'] == pytest.approx(0.5 * 0.9**3)
    assert rates[f'{trunk}.layers.0.mlp.fc1.weight'] == pytest.approx(0.5 * 0.9**2)
    assert rates[f'{trunk}.layers.1.mlp.fc1.weight'] == pytest.approx(0.5 * 0.9)
    assert rates['vision_encoder.neck.fpn_layers.0.proj1.weight'] == 0.5
    assert rates['detr_decoder.query_embed.weight'] == 1.0
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert set(rates) == trained


@pytest.mark.parametrize('decay', [None, 0, 1.5, '0.9'])
def test_wrong_decays_are_named(decay):
    with pytest.raises(UserError, match=r'layer_decay: expected a number in \(0, 1\]'):
        wrapper_of(MODELS.build(MODEL_CONFIGS['sam']), layer_decay=decay)


def test_other_models_are_refused():
    with pytest.raises(UserError, match='expected a promptable model'):
        wrapper_of(nn.Linear(2, 2), layer_decay=0.9)


def test_a_step_moves_early_blocks_less():
    model = nn.ModuleDict({'model': MODELS.build(MODEL_CONFIGS['sam'])})
    wrapper = wrapper_of(model, layer_decay=0.5)
    before = {name: value.detach().clone() for name, value in model.named_parameters()}
    for value in model.parameters():
        value.grad = torch.ones_like(value)
    wrapper.step()

    for name, rate in rates_of(model, layer_decay=0.5).items():
        moved = before[name] - model.get_parameter(name)
        torch.testing.assert_close(moved, torch.full_like(moved, rate))
