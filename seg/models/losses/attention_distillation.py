"""Where a student learns to look from its teacher."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.losses.distillation import (
    BlockPart,
    DistillationPart,
    Lesson,
    on_grid,
    require_trained,
)
from seg.registry import MODELS

if TYPE_CHECKING:
    from seg.models.detectors.model_trace import ModelView


@MODELS.register_module()
class DecoderAttentionDistillation(DistillationPart):
    """Where the decoder's tokens of quality and masks look in the image, in every layer.

    It works with a frozen image encoder. Heads are matched one by one, or averaged where the
    decoders have different numbers of them.

    Args:
        weight: Weight beside the other parts.
    """

    needs_decoder = True
    needs_attention = True
    names = ('attention',)

    def prepare(self, student: Any, teacher: Any) -> None:
        """Check that some of the student is trained."""
        require_trained(self, student, 'decoder')

    def forward(
        self, student: ModelView, teacher: ModelView, lesson: Lesson | None
    ) -> dict[str, Tensor]:
        """Kullback-Leibler divergence over the places, mean over prompts, tokens and layers."""
        sizes = student.embeddings.shape[-2:], teacher.embeddings.shape[-2:]
        pairs = zip(student.attention, teacher.attention, strict=True)
        return {'attention': torch.stack([_divergence(*pair, *sizes) for pair in pairs]).mean()}


def _divergence(student: Tensor, teacher: Tensor, size: Any, teacher_size: Any) -> Tensor:
    """Mean divergence of maps (N, heads, K, hw) that sum to 1."""
    if student.shape[1] != teacher.shape[1]:
        student, teacher = (maps.mean(dim=1, keepdim=True) for maps in (student, teacher))
    if size != teacher_size:
        maps = teacher.flatten(0, 1).unflatten(-1, teacher_size)
        maps = on_grid(maps, maps.new_empty(size)).flatten(-2)
        teacher = (maps / maps.sum(dim=-1, keepdim=True)).view(*teacher.shape[:3], -1)
    teacher, student = teacher.clamp(min=1e-12), student.clamp(min=1e-12)
    return (teacher * (teacher.log() - student.log())).sum(dim=-1).mean()


@MODELS.register_module()
class EncoderAttentionDistillation(BlockPart):
    """Where blocks of the image encoder are active: attention transfer, without any map of pairs.

    Source: Zagoruyko and Komodakis, "Paying More Attention to Attention", ICLR 2017, equation 2,
    with squared activations averaged over channels; the squared difference is summed over places,
    so it lies in [0, 2].

    Args:
        blocks: Pairs of a block of the student and a block of the teacher.
        weight: Weight beside the other parts.
    """

    names = ('activity',)

    def forward(
        self, student: ModelView, teacher: ModelView, lesson: Lesson | None
    ) -> dict[str, Tensor]:
        """Mean over images and pairs."""
        errors = []
        for own, other in self.pairs:
            taught = student.blocks[own].float()
            wanted = on_grid(teacher.blocks[other].float(), taught)
            errors.append((_activity(taught) - _activity(wanted)).square().sum(dim=1).mean())
        return {'activity': torch.stack(errors).mean()}


def _activity(maps: Tensor) -> Tensor:
    """Mean square over the channels of each place, as unit vectors, (B, hw)."""
    return F.normalize(maps.square().mean(dim=1).flatten(1), dim=1)
