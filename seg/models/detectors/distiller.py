"""A student that learns to see images as its teacher does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from mmdet.models.detectors import BaseDetector
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.detectors.embedding_cache import EmbeddingCache
from seg.models.detectors.promptable import PromptableSegmentor
from seg.registry import MODELS, TASK_UTILS
from seg.structures import ClipSample
from seg.utils.checks import UserError, unknown_name_message

_STUDENT = 'student.'
_KINDS = ('mse', 'cosine', 'both')


@MODELS.register_module()
class Distiller(BaseDetector):
    """Trains a student on the image embeddings of a frozen teacher, with or without labels.

    Checkpoints hold the student alone, under its own names, so that it is used without this
    wrapper. The teacher sees the same canvas, resized to its own; its embeddings are resized to
    the student's grid and may be cached.

    Args:
        student: Config of a :class:`PromptableSegmentor` whose image encoder is trained.
        teacher: Config of another one with as many channels, with its ``init_cfg``.
        kind: ``'mse'``, ``'cosine'`` (one minus the cosine of the channels of each place), or
            ``'both'``.
        weight: Weight of the embeddings' loss.
        label_weight: Weight of the student's own losses; 0 to train on images alone.
        cache: Config of an :class:`EmbeddingCache` for the teacher's embeddings.
        init_cfg: Not used; student and teacher have their own.

    Raises:
        UserError: If the student's encoder is frozen, or a setting is wrong.
    """

    def __init__(
        self,
        student: dict[str, Any],
        teacher: dict[str, Any],
        kind: Literal['mse', 'cosine', 'both'] = 'mse',
        weight: float = 1.0,
        label_weight: float = 0.0,
        cache: dict[str, Any] | None = None,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        if kind not in _KINDS:
            raise UserError(unknown_name_message('Distiller.kind', kind, _KINDS))
        model: PromptableSegmentor = MODELS.build(student)
        super().__init__(data_preprocessor=model.data_preprocessor, init_cfg=init_cfg)
        self.student = model
        if not any(p.requires_grad for p in self.student.image_encoder.parameters()):
            raise UserError(
                'Distiller.student: expected a trained image encoder, as its embeddings are what '
                'is taught, got a frozen one; use the strategy TrainAll, TrainLora or TrainAdapters'
            )
        # In a list, the teacher is no part of checkpoints, of the optimizer or of DDP.
        self._teacher = [MODELS.build(teacher).requires_grad_(False).eval()]
        self.kind = kind
        self.weight = weight
        self.label_weight = label_weight
        self.cache: EmbeddingCache | None = None if cache is None else TASK_UTILS.build(cache)
        self.register_state_dict_post_hook(_drop_prefix)
        self.register_load_state_dict_pre_hook(_add_prefix)

    @property
    def teacher(self) -> PromptableSegmentor:
        """The frozen model."""
        return self._teacher[0]

    @property
    def prompt_kinds(self) -> frozenset[str]:
        """Kinds of prompts that the student understands."""
        return self.student.prompt_kinds

    @property
    def prompt_refusals(self) -> Mapping[str, str]:
        """Why the student cannot understand some of the others."""
        return self.student.prompt_refusals

    def init_weights(self) -> None:
        """Start student and teacher from the weights of their own ``init_cfg``."""
        self.student.init_weights()
        self.teacher.init_weights()
        self.is_init = True

    def _apply(self, fn: Any, recurse: bool = True) -> Distiller:
        """Move the teacher along."""
        self.teacher._apply(fn)
        return super()._apply(fn, recurse)

    def extract_feat(self, batch_inputs: Tensor) -> Tensor:
        """The student's embeddings."""
        return self.student.extract_feat(batch_inputs)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> dict[str, Tensor]:
        """The embeddings' losses and, if they count, the student's own."""
        taught = self.student.extract_feat(batch_inputs)
        wanted = self._teach(batch_inputs, batch_data_samples, taught)
        with torch.autocast(taught.device.type, enabled=False):
            losses = self._embedding_losses(taught.float(), wanted.float())
        if self.label_weight:
            own = self.student.loss_of_embeddings(taught, batch_data_samples)
            losses |= {
                name: self.label_weight * value if 'loss' in name else value
                for name, value in own.items()
            }
        return losses

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample], rescale: bool = True
    ) -> list[ClipSample]:
        """The student's predictions."""
        return self.student.predict(batch_inputs, batch_data_samples, rescale)

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample] | None = None
    ) -> Any:
        return self.student._forward(batch_inputs, batch_data_samples)

    @torch.no_grad()
    def _teach(self, inputs: Tensor, samples: list[ClipSample], taught: Tensor) -> Tensor:
        """The teacher's embeddings on the student's grid."""
        size = (self.teacher.image_size, self.teacher.image_size)
        if tuple(inputs.shape[-2:]) != size:
            inputs = F.interpolate(
                inputs.flatten(0, 1), size, mode='bilinear', align_corners=False
            ).unflatten(0, inputs.shape[:2])
        if self.cache is None:
            wanted = self.teacher.extract_feat(inputs)
        else:
            wanted = self.cache.embed(inputs, samples, self.teacher, self.teacher.embedding_shape)
        if wanted.shape[1] != taught.shape[1]:
            raise UserError(
                f'Distiller: expected embeddings of as many channels, got {taught.shape[1]} of the '
                f'student and {wanted.shape[1]} of the teacher; use models of one prompt_dim'
            )
        if wanted.shape[-2:] != taught.shape[-2:]:
            wanted = F.interpolate(wanted, taught.shape[-2:], mode='bilinear', align_corners=False)
        return wanted

    def _embedding_losses(self, taught: Tensor, wanted: Tensor) -> dict[str, Tensor]:
        losses = {}
        if self.kind != 'cosine':
            losses['loss_embed_mse'] = self.weight * F.mse_loss(taught, wanted)
        if self.kind != 'mse':
            cosine = F.cosine_similarity(taught, wanted, dim=1)
            losses['loss_embed_cosine'] = self.weight * (1 - cosine).mean()
        return losses


def _drop_prefix(module: nn.Module, state: dict[str, Tensor], prefix: str, metadata: Any) -> None:
    """Give the student's tensors their own names."""
    for name in list(state):
        state[name.replace(f'{prefix}{_STUDENT}', prefix, 1)] = state.pop(name)


def _add_prefix(module: nn.Module, state: dict[str, Tensor], prefix: str, *unused: Any) -> None:
    """Undo :func:`_drop_prefix` in a state dict that is about to be loaded."""
    for name in list(state):
        if name.startswith(prefix) and not name.startswith(f'{prefix}{_STUDENT}'):
            state[f'{prefix}{_STUDENT}{name.removeprefix(prefix)}'] = state.pop(name)
