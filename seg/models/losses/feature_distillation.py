"""Features that a student learns from a teacher: of the decoder, the neck or the encoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.losses.distillation import (
    BlockPart,
    DistillationPart,
    Lesson,
    on_grid,
    require_trained,
)
from seg.registry import MODELS
from seg.utils.checks import UserError, unknown_name_message

if TYPE_CHECKING:
    from seg.models.detectors.model_trace import ModelView

_KINDS = ('mse', 'cosine', 'both')


@MODELS.register_module()
class EmbeddingDistillation(DistillationPart):
    """Image embeddings, of a student whose image encoder is trained.

    Args:
        weight: Weight beside the other parts.
        kind: ``'mse'``, ``'cosine'`` (one minus the cosine of the channels of each place), or
            ``'both'``.
        channels: How many channels, from the first on, are compared; by default all. The first
            ``variant.width`` of SAM 3 are its coarse map, 72 x 72 x 256 in the published sizes.
    """

    def __init__(
        self,
        weight: float = 1.0,
        kind: Literal['mse', 'cosine', 'both'] = 'mse',
        channels: int | None = None,
    ) -> None:
        super().__init__(weight)
        if kind not in _KINDS:
            raise UserError(unknown_name_message('EmbeddingDistillation.kind', kind, _KINDS))
        if channels is not None and channels < 1:
            raise UserError(
                f'EmbeddingDistillation.channels: expected at least 1, or None for all, got '
                f'{channels}'
            )
        self.kind = kind
        self.channels = channels

    @property
    def names(self) -> tuple[str, ...]:
        """``embed_mse``, ``embed_cosine`` or both."""
        return tuple(f'embed_{kind}' for kind in ('mse', 'cosine') if self.kind in (kind, 'both'))

    def prepare(self, student: Any, teacher: Any) -> None:
        """Check that the embeddings can change and have as many channels."""
        require_trained(self, student, 'embedding')
        channels = [model.embedding_channels for model in (student, teacher)]
        if self.channels is not None:
            if self.channels > min(channels):
                raise UserError(
                    f'EmbeddingDistillation.channels: expected at most {min(channels)}, which '
                    f'student and teacher both have, got {self.channels}'
                )
        elif channels[0] != channels[1]:
            raise UserError(
                f'EmbeddingDistillation: expected embeddings of as many channels, got {channels[0]}'
                f' of the student and {channels[1]} of the teacher; use models of one prompt_dim, '
                'or ProjectedEmbeddingDistillation or BlockFeatureDistillation, which project'
            )

    def forward(
        self, student: ModelView, teacher: ModelView, lesson: Lesson | None
    ) -> dict[str, Tensor]:
        """Mean over images and places."""
        taught = student.embeddings[:, : self.channels].float()
        wanted = on_grid(teacher.embeddings[:, : self.channels].float(), taught)
        losses = {
            'embed_mse': F.mse_loss(taught, wanted),
            'embed_cosine': (1 - F.cosine_similarity(taught, wanted, dim=1)).mean(),
        }
        return {name: losses[name] for name in self.names}


@MODELS.register_module()
class ProjectedEmbeddingDistillation(DistillationPart):
    """Image embeddings of another number of channels, through a learned projection.

    Both sides are normalised per place before they are compared. The projection is no part of the
    student; the training needs ``SteeringHook``, which keeps it.

    Args:
        weight: Weight beside the other parts.
    """

    names = ('embed',)

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.projection: nn.Module = nn.Identity()

    def prepare(self, student: Any, teacher: Any) -> None:
        """Make the projection, and check that the embeddings can change."""
        require_trained(self, student, 'embedding')
        self.projection = nn.Conv2d(student.embedding_channels, teacher.embedding_channels, 1)

    def forward(
        self, student: ModelView, teacher: ModelView, lesson: Lesson | None
    ) -> dict[str, Tensor]:
        """Mean squared error over images, places and channels."""
        taught = self.projection(student.embeddings.float())
        wanted = on_grid(teacher.embeddings.float(), taught)
        return {'embed': F.mse_loss(_normed(taught), _normed(wanted))}


@MODELS.register_module()
class BlockFeatureDistillation(BlockPart):
    """Output of blocks of the image encoder, projected to the teacher's channels.

    Both sides are normalised per place before they are compared. Projections are learned, and are
    no part of the student.

    Args:
        blocks: Pairs of a block of the student and a block of the teacher.
        weight: Weight beside the other parts.
    """

    names = ('blocks',)

    def __init__(self, blocks: Sequence[tuple[int, int]], weight: float = 1.0) -> None:
        super().__init__(blocks, weight)
        self.projections = nn.ModuleList()

    def prepare(self, student: Any, teacher: Any) -> None:
        """Make a projection per pair, and check that each block can change."""
        super().prepare(student, teacher)
        sizes = (student.variant.embed_dim, teacher.variant.embed_dim)
        self.projections.extend(nn.Conv2d(*sizes, 1) for _ in self.pairs)

    def forward(
        self, student: ModelView, teacher: ModelView, lesson: Lesson | None
    ) -> dict[str, Tensor]:
        """Mean squared error over images, places, channels and pairs."""
        errors = []
        for (own, other), projection in zip(self.pairs, self.projections, strict=True):
            taught = projection(student.blocks[own].float())
            wanted = on_grid(teacher.blocks[other].float(), taught)
            errors.append(F.mse_loss(_normed(taught), _normed(wanted)))
        return {'blocks': torch.stack(errors).mean()}


@MODELS.register_module()
class DecoderFeatureDistillation(DistillationPart):
    """The image after each layer of the decoder, and the tokens of quality and masks.

    Encoders differ, so directions are compared rather than numbers: one minus the cosine of the
    centred channels. It works with a frozen image encoder. Where the decoders have different
    numbers of channels, learned projections, which are no part of the student, bring them together.

    Args:
        weight: Weight beside the other parts.
    """

    needs_decoder = True
    names = ('keys', 'tokens')

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__(weight)
        self.projection: nn.Module = nn.Identity()

    def prepare(self, student: Any, teacher: Any) -> None:
        """Make a projection if there has to be one."""
        require_trained(self, student, 'decoder')
        sizes = [model.embedding_shape[0] for model in (student, teacher)]
        if sizes[0] != sizes[1]:
            self.projection = nn.Linear(*sizes)

    def forward(
        self, student: ModelView, teacher: ModelView, lesson: Lesson | None
    ) -> dict[str, Tensor]:
        """Mean over prompts, places or tokens, and layers."""
        assert student.tokens is not None, 'tokens come from prompts'
        assert teacher.tokens is not None, 'tokens come from prompts'
        keys = [
            self._distance(own.movedim(1, -1), on_grid(other, own).movedim(1, -1))
            for own, other in zip(student.keys, teacher.keys, strict=True)
        ]
        return {
            'keys': torch.stack(keys).mean(),
            'tokens': self._distance(student.tokens, teacher.tokens),
        }

    def _distance(self, taught: Tensor, wanted: Tensor) -> Tensor:
        """One minus the cosine of centred channels, (..., C) each."""
        taught, wanted = (
            value - value.mean(dim=-1, keepdim=True)
            for value in (self.projection(taught.float()), wanted.float())
        )
        return (1 - F.cosine_similarity(taught, wanted, dim=-1)).mean()


def _normed(maps: Tensor) -> Tensor:
    """Maps (B, C, h, w) with mean 0 and variance 1 over the channels of each place."""
    return F.layer_norm(maps.movedim(1, -1), maps.shape[1:2])
