"""What a student may learn from a teacher: its masks; see the two modules beside this one too."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from seg.registry import MODELS
from seg.utils.checks import UserError

if TYPE_CHECKING:
    from seg.models.detectors.model_trace import ModelView


class Lesson(NamedTuple):
    """What is known about N prompts besides what student and teacher make of them.

    Attributes:
        usable: Which of the student's candidates may count for a prompt, (N, M), bool.
        teacher_choice: The candidate that the teacher would give, (N,), int64.
        truth: What the masks should be, on the student's grid, (N, h, w), in [0, 1].
        weights: How much the cells count, (N, h, w), in [0, 1].
        temperature: By which logits are divided.
    """

    usable: Tensor
    teacher_choice: Tensor
    truth: Tensor
    weights: Tensor
    temperature: float


class DistillationPart(nn.Module, ABC):
    """One thing that a student learns from its teacher.

    Args:
        weight: Its weight beside the other parts.
    """

    needs_decoder = False
    """Whether prompts have to be decoded for it."""

    needs_attention = False
    """Whether it looks at the decoder's attention."""

    def __init__(self, weight: float = 1.0) -> None:
        super().__init__()
        if not 0 < weight < math.inf:
            raise UserError(
                f'{type(self).__name__}.weight: expected more than 0, got {weight}; leave a part '
                'out of the list to switch it off'
            )
        self.weight = weight

    @abstractmethod
    def prepare(self, student: Any, teacher: Any) -> None:
        """Make projections that the pair needs.

        Raises:
            UserError: If nothing that the student trains could learn from this.
        """

    @property
    def student_blocks(self) -> tuple[int, ...]:
        """Blocks of the student's image encoder that it looks at."""
        return ()

    @property
    def teacher_blocks(self) -> tuple[int, ...]:
        """Blocks of the teacher's image encoder that it looks at."""
        return ()

    @abstractmethod
    def forward(
        self, student: ModelView, teacher: ModelView, lesson: Lesson | None
    ) -> dict[str, Tensor]:
        """Losses by name, scalars; ``lesson`` is given to parts that need the decoder."""

    @property
    @abstractmethod
    def names(self) -> tuple[str, ...]:
        """Names of the losses."""


def bernoulli_divergence(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Kullback-Leibler divergence of two maps of probabilities, times the squared temperature.

    It is that of a softmax over the two logits 0 and z of each cell. The square keeps gradients
    from vanishing at high temperatures. Source: Hinton et al., "Distilling the Knowledge in a
    Neural Network", 2015, section 2.

    Args:
        student: Logits, any shape.
        teacher: Logits, the same shape.
        temperature: By which both are divided.

    Returns:
        Divergence of each cell, at least 0, of the same shape.
    """
    z, t = student / temperature, teacher / temperature
    probs = t.sigmoid()
    on = probs * (F.logsigmoid(t) - F.logsigmoid(z))
    off = (1 - probs) * (F.logsigmoid(-t) - F.logsigmoid(-z))
    return temperature**2 * (on + off)


@MODELS.register_module()
class MaskDistillation(DistillationPart):
    """The teacher's masks as soft labels, cell by cell.

    The teacher's mask of a prompt is the one it would give; the student's is that of its candidates
    for such a prompt which is nearest to it, so the mask for clear prompts is matched with the mask
    for clear prompts. Where the teacher itself is not good enough, ground truth counts alone.

    Args:
        weight: Weight beside the other parts.
        min_teacher_iou: Prompts count where the teacher's mask has at least this IoU with the
            ground truth, in [0, 1).
    """

    needs_decoder = True
    names = ('mask',)

    def __init__(self, weight: float = 1.0, min_teacher_iou: float = 0.5) -> None:
        super().__init__(weight)
        if not 0 <= min_teacher_iou < 1:
            raise UserError(
                'MaskDistillation.min_teacher_iou: expected a number in [0, 1), got '
                f'{min_teacher_iou}; no teacher is that good, so nothing would be learned'
            )
        self.min_teacher_iou = min_teacher_iou

    def prepare(self, student: Any, teacher: Any) -> None:
        """Check that some of the student is trained."""
        require_trained(self, student, 'decoder')

    def forward(
        self, student: ModelView, teacher: ModelView, lesson: Lesson | None
    ) -> dict[str, Tensor]:
        """``mask``: mean over the prompts whose teacher is good enough."""
        assert lesson is not None, 'masks come from prompts'
        assert student.masks is not None, 'masks come from prompts'
        assert teacher.masks is not None, 'masks come from prompts'
        logits = student.masks.mask_logits.float()
        rows = torch.arange(len(logits), device=logits.device)
        wanted = teacher.masks.mask_logits.float()[rows, lesson.teacher_choice][:, None]
        if wanted.shape[-2:] != logits.shape[-2:]:
            size = (logits.shape[-2], logits.shape[-1])
            wanted = F.interpolate(wanted, size, mode='bilinear', align_corners=False)
        cells = bernoulli_divergence(logits, wanted.expand_as(logits), lesson.temperature)
        weights = lesson.weights[:, None]
        means = (cells * weights).flatten(2).sum(dim=2) / weights.flatten(2).sum(dim=2).clamp(1e-6)
        nearest = means.masked_fill(~lesson.usable, torch.inf).min(dim=1).values
        gate = teacher_iou(wanted[:, 0], lesson) >= self.min_teacher_iou
        return {'mask': (nearest * gate).sum() / gate.sum().clamp(min=1)}


def teacher_iou(logits: Tensor, lesson: Lesson) -> Tensor:
    """IoU of the teacher's masks (N, h, w) with the ground truth, (N,)."""
    predicted = (logits > 0).float() * lesson.weights
    wanted = (lesson.truth > 0.5).float() * lesson.weights
    overlap = torch.minimum(predicted, wanted).flatten(1).sum(dim=1)
    return overlap / torch.maximum(predicted, wanted).flatten(1).sum(dim=1).clamp(min=1e-6)


def require_trained(part: DistillationPart, student: Any, where: str, block: int = -1) -> None:
    """Make sure that the student trains something before a place, so that the place can change.

    Args:
        part: Who asks.
        student: A model with ``image_encoder``, ``prompt_encoder`` and ``mask_decoder``.
        where: ``'decoder'``, ``'embedding'`` or ``'block'``.
        block: The block, if it is one.

    Raises:
        UserError: If it trains nothing there.
    """
    encoder = student.image_encoder
    modules: list[nn.Module | nn.Parameter]
    if where == 'block':
        modules = [encoder.pos_embed, encoder.patch_embed, *encoder.blocks[: block + 1]]
    elif where == 'embedding':
        modules = [encoder]
    else:
        modules = [encoder, student.prompt_encoder, student.mask_decoder]
    values = [
        value
        for module in modules
        for value in ([module] if isinstance(module, nn.Parameter) else module.parameters())
    ]
    if any(value.requires_grad for value in values):
        return
    name = f'image_encoder.blocks.{block}' if where == 'block' else where
    raise UserError(
        f'{type(part).__name__}: expected a student that trains something up to {name}, which is '
        f'what is taught, got one that trains nothing there, so nothing could be learned; use a '
        'strategy such as TrainAll, TrainLora or TrainAdapters, or DecoderFeatureDistillation '
        'and DecoderAttentionDistillation, which work with a frozen image encoder'
    )


class BlockPart(DistillationPart):
    """Something that blocks of the student's image encoder learn from blocks of the teacher's.

    Args:
        blocks: Pairs of a block of the student and a block of the teacher.
        weight: Weight beside the other parts.

    Raises:
        UserError: If ``blocks`` are no pairs of numbers.
    """

    def __init__(self, blocks: Sequence[tuple[int, int]], weight: float = 1.0) -> None:
        super().__init__(weight)
        pairs = [tuple(pair) if isinstance(pair, tuple | list) else (pair,) for pair in blocks]
        if any(len(pair) != 2 or not all(type(index) is int for index in pair) for pair in pairs):
            raise UserError(
                f'{type(self).__name__}.blocks: expected pairs (block of the student, block of '
                f'the teacher), such as [(5, 5), (11, 11)], got {blocks}'
            )
        self.pairs = tuple((own, other) for own, other in pairs)

    @property
    def student_blocks(self) -> tuple[int, ...]:
        """The first of each pair."""
        return tuple(own for own, _ in self.pairs)

    @property
    def teacher_blocks(self) -> tuple[int, ...]:
        """The second of each pair."""
        return tuple(other for _, other in self.pairs)

    def prepare(self, student: Any, teacher: Any) -> None:
        """Check that the blocks exist and that those of the student can change."""
        for who, model, blocks in (
            ('student', student, self.student_blocks),
            ('teacher', teacher, self.teacher_blocks),
        ):
            count = len(model.image_encoder.blocks)
            wrong = [index for index in blocks if not 0 <= index < count]
            if wrong or not blocks:
                raise UserError(
                    f'{type(self).__name__}.blocks: expected blocks of the {who} from 0 to '
                    f'{count - 1}, got {wrong or "none"}'
                )
        for block in self.student_blocks:
            require_trained(self, student, 'block', block)


def on_grid(maps: Tensor, like: Tensor) -> Tensor:
    """Maps (..., C, h', w') brought to the grid of others, (..., h, w)."""
    size = (like.shape[-2], like.shape[-1])
    if maps.shape[-2:] == like.shape[-2:]:
        return maps
    return F.interpolate(maps.float(), size, mode='bilinear', align_corners=False)
