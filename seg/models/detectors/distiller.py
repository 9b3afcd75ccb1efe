"""A student that learns from a teacher, whatever both are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from mmdet.models.detectors import BaseDetector
from torch import Tensor, nn
from torch.nn import functional as F

from seg.models.detectors.embedding_cache import EmbeddingCache
from seg.models.detectors.feature_embedder import FeatureEmbedder
from seg.models.detectors.model_trace import BlockTrace, ModelView, decode_traced
from seg.models.detectors.promptable import PromptableSegmentor
from seg.models.losses.distillation import Lesson
from seg.models.losses.distillation_schedule import DistillationSchedule, DistillationSettings
from seg.models.losses.steering import Steered
from seg.registry import MODELS, TASK_UTILS
from seg.structures import ClipSample, Prompts, resize_prompts
from seg.structures.prompted_masks import (
    TOKENS,
    PromptedMasks,
    best_candidate,
    candidates_for,
    usable_candidates,
)
from seg.structures.prompts import PROMPT_FEATURES, kinds_of
from seg.utils.checks import UserError

_STUDENT = 'student.'


@MODELS.register_module()
class Distiller(BaseDetector, Steered):
    """Trains a student on labels and on what a frozen teacher makes of the same images and prompts.

    Checkpoints hold the student alone, under its own names, so that it is used without this
    wrapper; what parts learn for themselves is kept by ``SteeringHook``. The teacher sees the same
    canvas and prompts; its embeddings may be cached.

    Args:
        student: Config of a :class:`PromptableSegmentor`, or of a :class:`FeatureEmbedder`, which
            learns embeddings without prompts or labels.
        teacher: Config of another model of these kinds, with its ``init_cfg``.
        parts: Configs of :class:`~seg.models.losses.DistillationPart`: what is learned from the
            teacher; by default its image embeddings.
        schedule: Config of a :class:`~seg.models.losses.DistillationSchedule`; by default the
            teacher counts 1 and labels do not count at all.
        cache: Config of an :class:`EmbeddingCache` for the teacher's embeddings.
        resize_for_teacher: Whether a teacher of another canvas is shown images and prompts resized
            to its own; a teacher of another canvas is refused otherwise.
        init_cfg: Not used; student and teacher have their own.

    Raises:
        UserError: If the student cannot learn what a part teaches, the two do not fit together,
            or a setting is wrong.
    """

    parts: Any
    """A ``ModuleList`` of :class:`~seg.models.losses.DistillationPart`."""

    def __init__(
        self,
        student: dict[str, Any],
        teacher: dict[str, Any],
        parts: Sequence[dict[str, Any]] | None = None,
        schedule: dict[str, Any] | None = None,
        cache: dict[str, Any] | None = None,
        resize_for_teacher: bool = False,
        init_cfg: dict[str, Any] | None = None,
    ) -> None:
        model: Any = MODELS.build(student)
        super().__init__(data_preprocessor=model.data_preprocessor, init_cfg=init_cfg)
        self.student = model
        # In a list, the teacher is no part of checkpoints, of the optimizer or of DDP.
        self._teacher = [MODELS.build(teacher).requires_grad_(False).eval()]
        if parts is not None and not parts:
            raise UserError(
                'Distiller.parts: expected something to learn, got an empty list; name a part, or '
                'train the student without a Distiller'
            )
        configs = parts or [dict(type='EmbeddingDistillation')]
        self.parts = nn.ModuleList(MODELS.build(config) for config in configs)
        names = [name for part in self.parts for name in part.names]
        if len(set(names)) < len(names):
            raise UserError(f'Distiller.parts: expected each kind once, got {names}')
        _check_pair(self.student, self.teacher, self.parts)
        if not resize_for_teacher:
            _check_canvas(self.student, self.teacher)
        for part in self.parts:
            part.prepare(self.student, self.teacher)
        fixed = dict(label_weight=0.0, teacher_weight=1.0)
        self.schedule: DistillationSchedule = TASK_UTILS.build(
            dict(type='DistillationSchedule') | (fixed if schedule is None else dict(schedule))
        )
        self.cache: EmbeddingCache | None = None if cache is None else TASK_UTILS.build(cache)
        _check_labels(self.student, self.schedule)
        if self.cache is not None and isinstance(self.teacher, FeatureEmbedder):
            raise UserError(
                'Distiller.cache: expected a teacher with a canvas, whose embeddings have one '
                'shape, got a FeatureEmbedder; leave the cache out'
            )
        if self.cache is not None and self._blocks('teacher_blocks'):
            raise UserError(
                'Distiller.cache: expected parts that need the embeddings of the teacher alone, '
                'got some that look into its image encoder; leave the cache out'
            )
        self.register_state_dict_post_hook(_student_alone)
        self.register_load_state_dict_pre_hook(_add_prefix)

    @property
    def teacher(self) -> Any:
        """The frozen model."""
        return self._teacher[0]

    @property
    def prompt_kinds(self) -> frozenset[str]:
        """Kinds of prompts that the student understands."""
        kinds: frozenset[str] = self.student.prompt_kinds
        return kinds

    @property
    def prompt_refusals(self) -> Mapping[str, str]:
        """Why the student cannot understand some of the others."""
        refusals: Mapping[str, str] = self.student.prompt_refusals
        return refusals

    def init_weights(self) -> None:
        """Start student and teacher from the weights of their own ``init_cfg``.

        Raises:
            UserError: If the teacher has none.
        """
        if self.teacher.init_cfg is None:
            raise UserError(
                "Distiller.teacher.init_cfg: expected dict(type='Pretrained', checkpoint=FILE), "
                'got none; an untrained teacher has nothing to teach'
            )
        self.student.init_weights()
        self.teacher.init_weights()
        self.is_init = True

    def _apply(self, fn: Any, recurse: bool = True) -> Distiller:
        """Move the teacher along."""
        self.teacher._apply(fn)
        return super()._apply(fn, recurse)

    def extract_feat(self, batch_inputs: Tensor) -> Tensor:
        """The student's embeddings."""
        embeddings: Tensor = self.student.extract_feat(batch_inputs)
        return embeddings

    def steering_state(self) -> dict[str, Tensor]:
        """What the parts have learned."""
        return {name: value.clone() for name, value in self.parts.state_dict().items()}

    def load_steering_state(self, state: dict[str, Tensor]) -> None:
        """Take up what the parts had learned."""
        self.parts.load_state_dict(state)

    def loss(self, batch_inputs: Tensor, batch_data_samples: list[ClipSample]) -> dict[str, Tensor]:
        """Weighted losses of the parts and of the student itself, and the weights to watch."""
        settings = self._settings()
        taught = self._see_as_student(batch_inputs, batch_data_samples)
        with torch.no_grad():
            wanted = self._see_as_teacher(batch_inputs, batch_data_samples)
        lesson = None
        prompts = [sample.prompts for sample in batch_data_samples] if self._decodes else []
        if any(len(rows) for rows in prompts):
            taught = self._decode(self.student, taught, prompts)
            with torch.no_grad():
                wanted = self._decode(self.teacher, wanted, self._teacher_prompts(prompts))
            lesson = self._lesson(taught, wanted, batch_data_samples, settings)
        losses = self._part_losses(taught, wanted, lesson, settings.teacher_weight)
        if settings.label_weight:
            losses |= self._own_losses(taught, batch_data_samples, settings.label_weight)
        watched = {name: taught.embeddings.new_tensor(v) for name, v in settings._asdict().items()}
        return losses | watched

    def predict(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample], rescale: bool = True
    ) -> list[ClipSample]:
        """The student's predictions."""
        found: list[ClipSample] = self.student.predict(batch_inputs, batch_data_samples, rescale)
        return found

    def _forward(
        self, batch_inputs: Tensor, batch_data_samples: list[ClipSample] | None = None
    ) -> Any:
        return self.student._forward(batch_inputs, batch_data_samples)

    @property
    def _decodes(self) -> bool:
        return any(part.needs_decoder for part in self.parts)

    def _blocks(self, name: str) -> list[int]:
        return sorted({block for part in self.parts for block in getattr(part, name)})

    def _settings(self) -> DistillationSettings:
        """What holds in this iteration."""
        if self.schedule.is_constant and not any(True for _ in self.parts.parameters()):
            return self.schedule.at(0.0)
        return self.schedule.at(self.require_steering())

    def _see_as_student(self, inputs: Tensor, samples: list[ClipSample]) -> ModelView:
        indices = self._blocks('student_blocks')
        if not indices:
            return ModelView(self.student.embed_samples(inputs, samples), {})
        return _see(self.student, inputs, indices)

    def _see_as_teacher(self, inputs: Tensor, samples: list[ClipSample]) -> ModelView:
        size = self.teacher.canvas
        if size is not None and tuple(inputs.shape[-2:]) != size:
            inputs = F.interpolate(
                inputs.flatten(0, 1), size, mode='bilinear', align_corners=False
            ).unflatten(0, inputs.shape[:2])
        if self.cache is not None:
            shape = self.teacher.embedding_shape
            return ModelView(self.cache.embed(inputs, samples, self.teacher, shape), {})
        return _see(self.teacher, inputs, self._blocks('teacher_blocks'))

    def _decode(
        self, model: PromptableSegmentor, view: ModelView, prompts: Sequence[Prompts]
    ) -> ModelView:
        attention = any(part.needs_attention for part in self.parts)
        return decode_traced(model, view.embeddings, view.blocks, prompts, attention)

    def _teacher_prompts(self, prompts: Sequence[Prompts]) -> list[Prompts]:
        """The prompts in pixels of the teacher's canvas.

        Raises:
            UserError: If the teacher does not understand one.
        """
        known = self.teacher.prompt_kinds
        for kind in {kind for rows in prompts for kind in kinds_of(rows)}:
            if kind not in known:
                raise UserError(
                    f'Distiller.teacher: expected one that understands {PROMPT_FEATURES[kind]}, '
                    f'as the training data prompt with them, got {type(self.teacher).__name__}, '
                    f'which knows {", ".join(sorted(known))}; change the prompts in the pipeline'
                )
        own, other = ((model.image_size,) * 2 for model in (self.student, self.teacher))
        if own == other:
            return list(prompts)
        return [replace(resize_prompts(rows, own, other), previous_logits=None) for rows in prompts]

    def _lesson(
        self,
        taught: ModelView,
        wanted: ModelView,
        samples: list[ClipSample],
        settings: DistillationSettings,
    ) -> Lesson:
        assert taught.masks is not None, 'the student has answered'
        assert wanted.masks is not None, 'the teacher has answered'
        criterion, (count, *size) = self.student.criterion, taught.masks.mask_logits.shape[1:]
        prompts = [sample.prompts for sample in samples]
        usable = [usable_candidates(rows, criterion.ranking, count) for rows in prompts]
        counts = list(map(len, prompts))
        answers = zip(*(values.split(counts) for values in wanted.masks), strict=True)
        choices = [
            best_candidate(PromptedMasks(*answer), rows, self.teacher.ranking)
            for answer, rows in zip(answers, prompts, strict=True)
        ]
        targets = [
            criterion.targets_of(sample, (size[0], size[1]))
            for sample in samples
            if len(sample.prompts)
        ]
        return Lesson(
            torch.cat(usable).to(taught.embeddings.device),
            torch.cat(choices),
            torch.cat([target.masks for target in targets]),
            torch.cat([target.weights for target in targets]),
            settings.temperature,
        )

    def _part_losses(
        self, taught: ModelView, wanted: ModelView, lesson: Lesson | None, weight: float
    ) -> dict[str, Tensor]:
        losses = {}
        with torch.autocast(taught.embeddings.device.type, enabled=False):
            for part in self.parts:
                if part.needs_decoder and lesson is None:
                    values = {name: self._zero() for name in part.names}
                else:
                    values = part(taught, wanted, lesson)
                for name, value in values.items():
                    losses[f'loss_{name}'] = weight * part.weight * value
        return losses

    def _own_losses(
        self, taught: ModelView, samples: list[ClipSample], weight: float
    ) -> dict[str, Tensor]:
        """The student's losses, from the masks that are there already if they are."""
        if taught.masks is None:
            own = self.student.loss_of_embeddings(taught.embeddings, samples)
        else:
            prompts = [sample.prompts for sample in samples]
            candidates = candidates_for(prompts, self.student.criterion.ranking)
            kept = (values[:, TOKENS[candidates]] for values in taught.masks)
            parts = zip(*(v.split(list(map(len, prompts))) for v in kept), strict=True)
            outputs = [PromptedMasks(*part) for part in parts]
            own = self.student.criterion(outputs, samples, candidates)
        return {name: weight * value if 'loss' in name else value for name, value in own.items()}

    def _zero(self) -> Tensor:
        """Zero that depends on every trained parameter, so that processes stay in step."""
        trained = [value.sum() for value in self.parameters() if value.requires_grad]
        return 0.0 * torch.stack(trained).sum()


def _see(model: Any, inputs: Tensor, indices: Sequence[int]) -> ModelView:
    """Embeddings of a model and the output of some of its blocks."""
    if not indices:
        return ModelView(model.extract_feat(inputs), {})
    with BlockTrace(model, indices) as trace:
        embeddings = model.extract_feat(inputs)
    return ModelView(embeddings, trace.blocks)


def _check_pair(student: Any, teacher: Any, parts: Any) -> None:
    """Make sure that the two can be compared at all."""
    decodes = any(part.needs_decoder for part in parts)
    inside = decodes or any(part.student_blocks or part.teacher_blocks for part in parts)
    for name, model in (('student', student), ('teacher', teacher)):
        known = (PromptableSegmentor,) if inside else (PromptableSegmentor, FeatureEmbedder)
        if not isinstance(model, known):
            raise UserError(
                f'Distiller.{name}: expected a PromptableSegmentor such as SamSegmentor or '
                'EfficientSamSegmentor, or where embeddings alone are compared a '
                f'FeatureEmbedder, got {type(model).__name__}'
            )
    if decodes and not student.prompt_kinds & teacher.prompt_kinds:
        raise UserError(
            'Distiller.teacher: expected one that understands some of the prompts of the student '
            f'({", ".join(sorted(student.prompt_kinds))}), got one that knows '
            f'{", ".join(sorted(teacher.prompt_kinds)) or "none"}'
        )
    for name in ('mean', 'std'):
        own, other = (getattr(model.data_preprocessor, name) for model in (student, teacher))
        if not torch.equal(own, other):
            raise UserError(
                f'Distiller.teacher: expected the {name} of images that the student has, '
                f'{own.flatten().tolist()}, got {other.flatten().tolist()}; give both the same '
                'data_preprocessor'
            )


def _check_canvas(student: Any, teacher: Any) -> None:
    """Make sure that the teacher takes the images as they are."""
    if teacher.canvas is not None and teacher.canvas != student.canvas:
        own = 'which may have any size' if student.canvas is None else student.image_size
        raise UserError(
            f'Distiller.teacher.image_size: expected the canvas of the student, {own}, got '
            f'{teacher.image_size}; give both the same image_size, or set '
            'resize_for_teacher=True to show it resized images'
        )


def _check_labels(student: Any, schedule: DistillationSchedule) -> None:
    """Make sure that a student that knows no labels is not given any."""
    if isinstance(student, FeatureEmbedder) and max(schedule.ranges['label_weight']) > 0:
        raise UserError(
            'Distiller.schedule: expected label_weight=0 for a FeatureEmbedder, which learns from '
            f'the teacher alone, got {schedule.ranges["label_weight"]}; leave the schedule out'
        )


def _student_alone(module: nn.Module, state: dict[str, Tensor], prefix: str, unused: Any) -> None:
    """Keep the student's tensors, under their own names."""
    for name in [name for name in state if name.startswith(prefix)]:
        value = state.pop(name)
        if name.startswith(f'{prefix}{_STUDENT}'):
            state[name.replace(f'{prefix}{_STUDENT}', prefix, 1)] = value


def _add_prefix(module: nn.Module, state: dict[str, Tensor], prefix: str, *unused: Any) -> None:
    """Undo :func:`_student_alone` in a state dict that is about to be loaded."""
    for name in list(state):
        if name.startswith(prefix) and not name.startswith(f'{prefix}{_STUDENT}'):
            state[f'{prefix}{_STUDENT}{name.removeprefix(prefix)}'] = state.pop(name)
