"""Checkpoints that hold only what was trained, and name the weights that they were trained on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from seg.utils.checks import UserError

_BASE = 'base_weights'


def frozen_names(model: nn.Module) -> list[str]:
    """Names in the state dict of the parameters that are not trained."""
    return [
        name.replace('.base_layer.', '.')
        for name, value in model.named_parameters()
        if not value.requires_grad
    ]


def weights_hash(state: Mapping[str, Tensor], names: Iterable[str]) -> str:
    """A fingerprint of some tensors, their names and types, 32 hexadecimal digits.

    Args:
        state: Tensors by name.
        names: Which of them count; their order does not.
    """
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(names):
        value = state[name].detach().cpu().contiguous()
        digest.update(f'{name} {value.dtype} {tuple(value.shape)};'.encode())
        digest.update(value.flatten().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def without_base(checkpoint: dict[str, Any], model: nn.Module, base_hash: str) -> None:
    """Take the weights that were not trained out of a checkpoint, in place.

    Args:
        checkpoint: With ``state_dict`` and ``meta``, which gets to know the base.
        model: The model.
        base_hash: :func:`weights_hash` of its frozen weights.
    """
    state = checkpoint['state_dict']
    for name in frozen_names(model):
        state.pop(name, None)
    checkpoint.setdefault('meta', {})[_BASE] = base_hash


def needs_base(content: Mapping[str, Any]) -> bool:
    """Whether a checkpoint lacks the weights that it was trained on."""
    meta = content.get('meta')
    return isinstance(meta, Mapping) and _BASE in meta


def with_base(
    state: Mapping[str, Tensor], meta: Mapping[str, Any], model: Any, where: str
) -> dict[str, Tensor]:
    """Complete weights with those of the model that they were trained on.

    Args:
        state: What was trained.
        meta: The checkpoint's ``meta``.
        model: Has the base weights, or gets them from its ``init_cfg``.
        where: The checkpoint, for messages.

    Raises:
        UserError: If the model's weights are others than those that were trained on.
    """
    if not model.is_init:
        model.init_weights()
    own = model.state_dict()
    names = frozen_names(model)
    if weights_hash(own, names) != meta[_BASE]:
        raise UserError(
            f'{where}: holds only what was trained, on top of base weights {meta[_BASE]}, but the '
            'model has others; set model.init_cfg=dict(type="Pretrained", checkpoint=FILE) to the '
            'weights that the training started from'
        )
    return {**{name: own[name] for name in names}, **state}
