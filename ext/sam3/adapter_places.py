"""Places for adapters in the blocks of SAM 3's image encoder, as SAM's blocks have them."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn


def add_adapter_places(blocks: nn.ModuleList) -> None:
    """Give each block a dict ``adapters``, empty at first, which adds no names to the state dict.

    What a strategy puts there is used: ``'attn'`` is applied to what attention gives, ``'mlp'``
    lies beside the feed-forward layers. Transformers' blocks are used as they are, so adapters work
    through forward hooks; these are copied and saved with a block.

    Args:
        blocks: Of transformers' ``Sam3ViTModel``.
    """
    for block in blocks:
        assert isinstance(block.attention, nn.Module), 'transformers names it so'
        assert isinstance(block.mlp, nn.Module), 'transformers names it so'
        block.adapters = nn.ModuleDict()
        block.attention.register_forward_hook(partial(_after_attention, block.adapters))
        block.mlp.register_forward_hook(partial(_beside_mlp, block.adapters))


def _after_attention(
    adapters: nn.ModuleDict, module: nn.Module, inputs: Any, output: tuple[Tensor, Any]
) -> tuple[Tensor, Any] | None:
    if 'attn' not in adapters:
        return None
    attended, weights = output
    return attended + adapters['attn'](attended), weights


def _beside_mlp(
    adapters: nn.ModuleDict, module: nn.Module, inputs: tuple[Tensor], output: Tensor
) -> Tensor | None:
    return output + adapters['mlp'](inputs[0]) if 'mlp' in adapters else None
