"""Low-rank updates of linear layers through peft, under the layers' own names."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from seg.utils.checks import UserError

_BASE = 'base_layer'


def inject_lora(model: nn.Module, pattern: str, rank: int, alpha: float, dropout: float) -> None:
    """Give linear layers a low-rank update that starts at zero; everything else is frozen.

    Source: Hu et al., "LoRA", ICLR 2022. The state dict keeps the layers' names (``qkv.weight``
    rather than ``qkv.base_layer.weight``), so weights of the plain model load at any time, and
    gains ``qkv.lora_A.default.weight`` and ``qkv.lora_B.default.weight``.

    Args:
        model: Changed in place.
        pattern: Regular expression that the whole dotted name of a layer has to match.
        rank: Rank of the update.
        alpha: The update is scaled by ``alpha / rank``.
        dropout: Dropout before the update, in [0, 1).

    Raises:
        UserError: If peft is not installed, or a setting cannot work.
    """
    if rank < 1:
        raise UserError(f'strategy.rank: expected at least 1, got {rank}; 8 is usual')
    if not 0 <= dropout < 1:
        raise UserError(f'strategy.dropout: expected a number in [0, 1), got {dropout}')
    peft = _import_peft()
    config = peft.LoraConfig(
        r=rank, lora_alpha=alpha, lora_dropout=dropout, target_modules=pattern, bias='none'
    )
    peft.inject_adapter_in_model(config, model)
    model.register_state_dict_post_hook(_hide_base_names)
    model.register_load_state_dict_pre_hook(_restore_base_names)


def lora_layers(model: nn.Module) -> dict[str, Any]:
    """Layers with a low-rank update, by their dotted names."""
    return {
        name: module
        for name, module in model.named_modules()
        if hasattr(module, _BASE) and hasattr(module, 'lora_A')
    }


@torch.no_grad()
def merged_state(model: nn.Module) -> dict[str, Tensor]:
    """The model's weights with low-rank updates added to their layers, under the plain names."""
    state = {
        name: value for name, value in model.state_dict().items() if '.lora_' not in f'.{name}'
    }
    for name, layer in lora_layers(model).items():
        update = layer.get_delta_weight('default').to(torch.float32)
        weight = state[f'{name}.weight']
        state[f'{name}.weight'] = (weight.float() + update).to(weight.dtype)
    return state


def _import_peft() -> Any:
    """peft, which is slow to import and optional."""
    try:
        import peft
    except ImportError as error:
        raise UserError(
            'strategy TrainLora: expected the package peft, which is not installed (or not '
            f"usable: {error}); pip install 'rapsam[peft]'"
        ) from error
    return peft


def _hide_base_names(
    module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: dict[str, Any]
) -> None:
    """Rename ``qkv.base_layer.weight`` to ``qkv.weight`` in a state dict, keeping its order."""
    for name in list(state):
        state[name.replace(f'.{_BASE}.', '.')] = state.pop(name)


def _restore_base_names(
    module: nn.Module, state: dict[str, Tensor], prefix: str, *unused: Any
) -> None:
    """Undo :func:`_hide_base_names` in a state dict that is about to be loaded."""
    for layer in lora_layers(module):
        for kind in ('weight', 'bias'):
            name = f'{prefix}{layer}.{kind}'
            if name in state:
                state[f'{prefix}{layer}.{_BASE}.{kind}'] = state.pop(name)
