"""Smaller learning rates for the early blocks of a pretrained image encoder."""

from __future__ import annotations

from typing import Any

from mmengine.optim import DefaultOptimWrapperConstructor
from torch import nn

from seg.models.detectors.promptable import PromptableSegmentor
from seg.registry import OPTIM_WRAPPER_CONSTRUCTORS
from seg.utils.checks import UserError


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class LayerDecayConstructor(DefaultOptimWrapperConstructor):
    """MMEngine's optimizer constructor, with rates that fall from block to block.

    ``paramwise_cfg`` has one more key, ``layer_decay``: the last block of the image encoder learns
    with ``layer_decay`` times its rate, the one before with the square of it, and so on to what
    lies before the first block; what lies behind the last one keeps its rate. All other keys work
    as they do in MMEngine, and come first.

    Source: Clark et al., "ELECTRA", ICLR 2020, appendix A; SAM 3 is trained with 0.9.

    Args:
        optim_wrapper_cfg: As in MMEngine.
        paramwise_cfg: With ``layer_decay`` in (0, 1].

    Raises:
        UserError: If there is no such number.
    """

    def __init__(
        self, optim_wrapper_cfg: dict[str, Any], paramwise_cfg: dict[str, Any] | None = None
    ) -> None:
        super().__init__(optim_wrapper_cfg, paramwise_cfg)
        decay = (paramwise_cfg or {}).get('layer_decay')
        if not isinstance(decay, (int, float)) or not 0 < decay <= 1:
            raise UserError(
                'optim_wrapper.paramwise_cfg.layer_decay: expected a number in (0, 1] such as '
                f'0.9, got {decay!r}'
            )
        self.layer_decay = float(decay)

    def add_params(
        self,
        params: list[dict[str, Any]],
        module: nn.Module,
        prefix: str = '',
        is_dcn_module: int | float | None = None,
    ) -> None:
        """Add a group per parameter, see MMEngine; those of the whole model get their rates."""
        super().add_params(params, module, prefix, is_dcn_module)
        if prefix:
            return
        exponents = layer_exponents(module)
        for group in params:
            exponent = exponents.get(id(group['params'][0]), 0)
            group['lr'] = group.get('lr', self.optimizer_cfg['lr']) * self.layer_decay**exponent


def layer_exponents(model: nn.Module) -> dict[int, int]:
    """By which power of the decay each parameter of the image encoder's blocks learns.

    Args:
        model: A promptable model, or one around it.

    Returns:
        By the id of the parameter; what is missing lies behind the blocks or elsewhere.

    Raises:
        UserError: If there is no promptable model.
    """
    parts = [part for part in model.modules() if isinstance(part, PromptableSegmentor)]
    if not parts:
        raise UserError(
            'optim_wrapper.constructor: expected a promptable model such as SamSegmentor for '
            f'LayerDecayConstructor, got {type(model).__name__}; leave layer_decay out'
        )
    where, _, name = parts[0].encoder_blocks.rpartition('.')
    trunk, depth = parts[0].get_submodule(where), len(parts[0].get_submodule(f'{where}.{name}'))
    exponents, blocks_passed = {}, False
    for path, value in trunk.named_parameters():
        if path.startswith(f'{name}.'):
            blocks_passed = True
            exponents[id(value)] = depth - int(path.split('.')[1])
        elif not blocks_passed:
            exponents[id(value)] = depth + 1
    return exponents
