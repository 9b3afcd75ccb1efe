"""Which parts of a promptable model are trained; each strategy means what its name says."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from torch import nn

from seg.models.peft.bottleneck_adapter import BottleneckAdapter
from seg.models.peft.lora import inject_lora
from seg.registry import TASK_UTILS
from seg.utils.checks import UserError


class TuningStrategy(ABC):
    """Decides what of a model is trained.

    A model has ``image_encoder`` with blocks where ``encoder_blocks`` says, whose linear layers of
    attention are called ``attention_layers``, ``prompt_encoder`` and ``mask_decoder``; what it has
    besides stays as it is.

    Args:
        prompt_encoder: Whether the prompt encoder is trained.
        mask_decoder: Whether the mask decoder is trained.
    """

    def __init__(self, prompt_encoder: bool = True, mask_decoder: bool = True) -> None:
        self.prompt_encoder = prompt_encoder
        self.mask_decoder = mask_decoder

    def apply(self, model: Any) -> None:
        """Freeze, thaw and extend the model in place; its outputs do not change."""
        self.prepare_encoder(model)
        model.prompt_encoder.requires_grad_(self.prompt_encoder)
        model.mask_decoder.requires_grad_(self.mask_decoder)
        if not any(value.requires_grad for value in model.parameters()):
            raise UserError(
                f'strategy {type(self).__name__}: expected something to train, got a model that '
                'is frozen as a whole; set prompt_encoder=True or mask_decoder=True'
            )

    @abstractmethod
    def prepare_encoder(self, model: Any) -> None:
        """Freeze, thaw or extend the image encoder."""


@TASK_UTILS.register_module()
class TrainDecoder(TuningStrategy):
    """Mask decoder and prompt encoder are trained; the image encoder is frozen."""

    def prepare_encoder(self, model: Any) -> None:
        """Freeze the image encoder."""
        model.image_encoder.requires_grad_(False)


@TASK_UTILS.register_module()
class TrainAll(TuningStrategy):
    """Everything is trained, the image encoder too."""

    def prepare_encoder(self, model: Any) -> None:
        """Thaw the image encoder."""
        model.image_encoder.requires_grad_(True)


@TASK_UTILS.register_module()
class TrainLora(TuningStrategy):
    """Low-rank updates of attention in the image encoder are trained, with decoder and prompts.

    Needs the optional package peft. Activations are stored back to the first block with an update,
    so late blocks alone save most memory.

    Args:
        rank: Rank of the updates.
        alpha: Updates are scaled by ``alpha / rank``.
        dropout: Dropout before the updates, in [0, 1).
        targets: Linear layers of a block: ``'qkv'``, ``'proj'`` (attention), ``'lin1'``, ``'lin2'``
            (feed-forward); in SAM 3 ``'q_proj'``, ``'k_proj'``, ``'v_proj'``, ``'o_proj'``,
            ``'fc1'``, ``'fc2'``; by default all of attention.
        first_block: First block with updates; all from there on have them.
        prompt_encoder: Whether the prompt encoder is trained.
        mask_decoder: Whether the mask decoder is trained.
    """

    def __init__(
        self,
        rank: int = 8,
        alpha: float = 32.0,
        dropout: float = 0.1,
        *,
        targets: Sequence[str] | None = None,
        first_block: int = 0,
        prompt_encoder: bool = True,
        mask_decoder: bool = True,
    ) -> None:
        super().__init__(prompt_encoder, mask_decoder)
        self.rank = rank
        self.alpha = alpha
        self.dropout = dropout
        self.targets = None if targets is None else tuple(targets)
        self.first_block = first_block

    def prepare_encoder(self, model: Any) -> None:
        """Add updates to the blocks.

        Raises:
            UserError: If peft is missing, or a block or layer does not exist.
        """
        encoder_blocks = model.get_submodule(model.encoder_blocks)
        blocks = chosen_blocks(encoder_blocks, self.first_block)
        linears = {
            name.rpartition('.')[2]: name
            for name, module in encoder_blocks[0].named_modules()
            if isinstance(module, nn.Linear)
        }
        targets = model.attention_layers if self.targets is None else self.targets
        unknown = [name for name in targets if name not in linears]
        if unknown or not targets:
            raise UserError(
                f'strategy.targets: expected names of linear layers of a block '
                f'({", ".join(linears)}), got {list(targets)}'
            )
        indices = '|'.join(map(str, blocks))
        layers = '|'.join(re.escape(linears[name]) for name in targets)
        pattern = rf'{re.escape(model.encoder_blocks)}\.(?:{indices})\.(?:{layers})'
        inject_lora(model, pattern, self.rank, self.alpha, self.dropout)


@TASK_UTILS.register_module()
class TrainAdapters(TuningStrategy):
    """Zero-initialised bottlenecks in every block of the encoder are trained, with the decoder.

    One is applied to what attention gives, one lies beside the feed-forward layers. They cannot be
    merged into the weights.

    Args:
        hidden: Channels in the middle of an adapter.
        places: ``'attn'``, ``'mlp'`` or both.
        first_block: First block with adapters; all from there on have them.
        prompt_encoder: Whether the prompt encoder is trained.
        mask_decoder: Whether the mask decoder is trained.
    """

    def __init__(
        self,
        hidden: int = 64,
        *,
        places: Sequence[str] = ('attn', 'mlp'),
        first_block: int = 0,
        prompt_encoder: bool = True,
        mask_decoder: bool = True,
    ) -> None:
        super().__init__(prompt_encoder, mask_decoder)
        if hidden < 1:
            raise UserError(f'strategy.hidden: expected at least 1, got {hidden}; 64 is usual')
        if not places or not set(places) <= {'attn', 'mlp'}:
            raise UserError(f"strategy.places: expected 'attn', 'mlp' or both, got {list(places)}")
        self.hidden = hidden
        self.places = tuple(places)
        self.first_block = first_block

    def prepare_encoder(self, model: Any) -> None:
        """Add adapters to the blocks.

        Raises:
            UserError: If there is no such block.
        """
        model.image_encoder.requires_grad_(False)
        blocks = model.get_submodule(model.encoder_blocks)
        for index in chosen_blocks(blocks, self.first_block):
            norm = next(part for part in blocks[index].children() if isinstance(part, nn.LayerNorm))
            channels = norm.normalized_shape[0]
            for place in self.places:
                blocks[index].adapters[place] = BottleneckAdapter(channels, self.hidden)


def chosen_blocks(blocks: nn.ModuleList, first: int) -> range:
    """Indices of the blocks from ``first`` on.

    Raises:
        UserError: If there is none.
    """
    if not 0 <= first < len(blocks):
        raise UserError(
            f'strategy.first_block: expected a block from 0 to {len(blocks) - 1}, got {first}'
        )
    return range(first, len(blocks))
