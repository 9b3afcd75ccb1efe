"""What the sizes of SAM 3 weigh and compute: counted for all, measured for one at a time."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ext.sam3 import (
    TEXT_PARTS,
    Sam3Variant,
    build_sam3,
    encode_vision,
    ground,
    sam3_variant,
    unpack_levels,
)

GIGA = 1e9
_STATE_BYTES = 16  # weight, gradient and two moments of AdamW, single precision
_CHECKPOINT_BYTES = 12  # weight and two moments


@dataclass(frozen=True)
class Sam3Costs:
    """Costs of one size.

    Attributes:
        parameters: Values of all weights.
        without_text: The same without text encoder.
        vision_gflop: Operations for an image, in 1e9; a multiplication and an addition are two.
        phrase_gflop: Operations for a phrase on an image that is encoded.
        text_gflop: Operations to encode a phrase, once per run.
    """

    parameters: int
    without_text: int
    vision_gflop: float
    phrase_gflop: float
    text_gflop: float

    @property
    def half_gb(self) -> float:
        """Size in half precision, 1e9 bytes."""
        return 2 * self.parameters / GIGA

    @property
    def half_gb_without_text(self) -> float:
        """The same without text encoder."""
        return 2 * self.without_text / GIGA

    @property
    def state_gb(self) -> float:
        """Weights, gradients and moments where all is trained, 1e9 bytes."""
        return _STATE_BYTES * self.parameters / GIGA

    @property
    def state_gb_frozen_text(self) -> float:
        """The same where the text encoder is there, and frozen."""
        text = self.parameters - self.without_text
        return (_STATE_BYTES * self.without_text + 4 * text) / GIGA

    @property
    def state_gb_without_text(self) -> float:
        """The same where it is gone."""
        return _STATE_BYTES * self.without_text / GIGA

    @property
    def checkpoint_gb(self) -> float:
        """A checkpoint with what the optimizer needs, 1e9 bytes."""
        return _CHECKPOINT_BYTES * self.parameters / GIGA

    def gflop(self, num_phrases: int) -> float:
        """Operations for an image and phrases that are encoded already, in 1e9."""
        return self.vision_gflop + num_phrases * self.phrase_gflop

    def as_dict(self) -> dict[str, float]:
        """All counts and what follows from them."""
        return asdict(self) | {
            'half_gb': self.half_gb,
            'half_gb_without_text': self.half_gb_without_text,
            'state_gb': self.state_gb,
            'state_gb_frozen_text': self.state_gb_frozen_text,
            'checkpoint_gb': self.checkpoint_gb,
        }


@torch.no_grad()
def costs_of(name: str) -> Sam3Costs:
    """Count one size.

    The image and text encoders are counted on the meta device. What answers a phrase is run once,
    on noise, because its shapes depend on values; that takes seconds on one core.

    Raises:
        UserError: If there is no such size, or transformers is missing.
    """
    variant = sam3_variant(name)
    with torch.device('meta'):
        parts = build_sam3(variant).eval()
        images = torch.empty(1, 3, variant.image_size, variant.image_size)
        tokens = torch.zeros(1, variant.text_length, dtype=torch.long)
        with FlopCounterMode(display=False) as vision:
            encode_vision(parts.vision_encoder, images)
        with FlopCounterMode(display=False) as text:
            encoded = parts.get_submodule('text_encoder')(input_ids=tokens)
            parts.get_submodule('text_projection')(encoded.last_hidden_state)
    total = _size(parts)
    return Sam3Costs(
        parameters=total,
        without_text=total - sum(_size(parts.get_submodule(part)) for part in TEXT_PARTS),
        vision_gflop=vision.get_total_flops() / GIGA,
        phrase_gflop=_phrase_flops(variant) / GIGA,
        text_gflop=text.get_total_flops() / GIGA,
    )


def _phrase_flops(variant: Sam3Variant) -> int:
    """Operations behind the two encoders, which are made as small as they get."""
    small = replace(variant, vit_dim=8, vit_depth=1, vit_heads=1, vit_mlp_dim=8, global_blocks=(0,))
    parts = build_sam3(small, with_text=False).eval()
    packed = torch.randn(1, 21 * variant.width, variant.grid, variant.grid)
    text = torch.randn(1, variant.text_length, variant.width)
    valid = torch.ones(1, variant.text_length, dtype=torch.bool)
    with FlopCounterMode(display=False) as counter:
        ground(parts, unpack_levels(packed), text, valid)
    return counter.get_total_flops()


def _size(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())
