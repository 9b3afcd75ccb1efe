"""Networks in the form in which they leave Python: tensors in, tensors out, no state."""

from __future__ import annotations

import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seg.models.heads.clip_frame import AskedFrame, Frame
from seg.models.heads.clip_step import ClipStep
from seg.models.memory import MemoryState
from seg.models.prompts.prompt_maps import PromptBatch
from seg.structures import Task

STRIDE = 4  # of mask features


class ImageEncoder(nn.Module):
    """Pixels to features.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.backbone, self.neck, self.appearance = model.backbone, model.neck, model.appearance
        preprocessor = model.data_preprocessor
        self.register_buffer('mean', preprocessor.mean.clone())
        self.register_buffer('std', preprocessor.std.clone())

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Encode images.

        Args:
            images: RGB, 0 to 255, (B, 3, H, W), float; sides are multiples of 32, padded at the
                bottom and the right with the mean colour.

        Returns:
            mask_features (B, C, H/4, W/4), and context_feats (B, C, H/16, W/16) if the model has
            them.
        """
        normal = (images - self.mean) / self.std
        feats = self.neck(self.backbone(normal))
        mask_features = feats.mask_features
        if self.appearance is not None:
            mask_features = self.appearance(normal, mask_features)
        if feats.context_feats is None:
            return (mask_features.contiguous(),)
        return mask_features.contiguous(), feats.context_feats.contiguous()


class ObjectDecoder(nn.Module):
    """Features to everything in the picture.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = model.head

    def forward(
        self, mask_features: Tensor, context_feats: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Class logits (B, Q, K + 1) and mask logits (B, Q, H/4, W/4) of the found objects."""
        route = self.head.router.routes[Task.PANOPTIC]
        final = self.head(_one_frame(mask_features), _one_frame(context_feats), route)[-1]
        return final.class_logits, final.mask_logits[:, :, 0]


class PromptDecoder(nn.Module):
    """Features and clicks, boxes or an earlier answer to masks of the objects that are meant.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM`.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = without_texts(model.head)

    def forward(
        self,
        points: Tensor,
        point_labels: Tensor,
        boxes: Tensor,
        has_box: Tensor,
        previous_logits: Tensor,
        has_previous: Tensor,
        mask_features: Tensor,
        context_feats: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Answer N prompts about one image.

        Args:
            points: (x, y) in pixels of the padded image, (1, N, P, 2).
            point_labels: 1 on the object, 0 beside it, -1 no point, (1, N, P), int64.
            boxes: xyxy, (1, N, 4); zeros where there is none.
            has_box: (1, N), bool.
            previous_logits: (1, N, h, w); zeros where there was no answer.
            has_previous: (1, N), bool.
            mask_features: (1, C, h, w).
            context_feats: (1, C, h', w'), if the model has them.

        Returns:
            Mask logits (1, N, h, w) and predicted qualities (1, N), in [0, 1].
        """
        size = mask_features.shape[-2:]
        canvas = size[0] * STRIDE, size[1] * STRIDE
        nothing = torch.zeros_like(has_box)
        batch = PromptBatch(
            points=points,
            point_labels=point_labels,
            boxes=boxes,
            has_box=has_box,
            mask_probs=torch.zeros_like(previous_logits),
            has_mask=nothing,
            previous=previous_logits.unsqueeze(2),
            has_previous=has_previous,
            texts=[(None,) * points.shape[1]],
            valid=~nothing,
        )
        features = _one_frame(mask_features)
        queries = self.head.prompt_encoder.encode(
            batch, features, canvas=canvas, image_shapes=[canvas]
        )
        route = self.head.router.routes[Task.INTERACTIVE_IMAGE]
        final = self.head(features, _one_frame(context_feats), route, queries)[-1]
        logits = final.mask_logits[:, :: queries.num_tokens, 0]
        if self.head.click_keeper is not None:
            kept = self.head.click_keeper(
                logits.flatten(0, 1),
                points.flatten(0, 1),
                point_labels.flatten(0, 1),
                canvas=canvas,
            )
            logits = kept.unflatten(0, logits.shape[:2])
        return logits, final.iou_logits[:, :: queries.num_tokens].clamp(0, 1)


class MaskSharpener(nn.Module):
    """Masks of any part on the finer grid that predictions of the model have.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM` with a ``mask_upsampler``.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.upsampler = model.head.mask_upsampler

    def forward(self, mask_logits: Tensor, mask_features: Tensor) -> Tensor:
        """Mask logits (1, N, h, w) on features (1, C, h, w) become (1, N, 2h, 2w), factor 2."""
        weights = self.upsampler.weights(mask_features)
        return self.upsampler(mask_logits.transpose(0, 1), weights).transpose(0, 1)


class FrameMemory(NamedTuple):
    """The memory of a video as inputs of :class:`PropagationStep`: F frames, N objects.

    Fields are those of :class:`~seg.models.memory.MemoryState`; ``prompted_frames`` (G,) are the
    remembered frames on which an object was prompted, in order.
    """

    num_seen: Tensor
    frame_index: Tensor
    keys: Tensor
    covers: Tensor
    tokens: Tensor
    written: Tensor
    prompted: Tensor
    last_key: Tensor
    last_masks: Tensor
    queries: Tensor
    texts: Tensor
    score_shift: Tensor
    prompted_frames: Tensor

    @classmethod
    def of(cls, state: MemoryState) -> FrameMemory:
        """What a state holds."""
        counted = (state.prompted & state.written).any(dim=1).nonzero().flatten()
        values = {name: getattr(state, name) for name in cls._fields if name != 'prompted_frames'}
        return cls(**values, prompted_frames=counted)

    def state(self) -> MemoryState:
        """The state, under slots as ids; qualities, which only choose what is forgotten, are 1."""
        values = self._asdict()
        del values['prompted_frames']
        count = self.queries.shape[0]
        ids = torch.arange(count, device=self.queries.device)
        quality = torch.ones_like(self.written, dtype=torch.float32)
        return MemoryState(object_ids=ids, quality=quality, **values)


class StepResult(NamedTuple):
    """What a frame brings, and what to remember of it.

    Attributes:
        mask_logits: (N, h, w).
        scores: How surely each object is in sight, (N,), in [0, 1].
        visible: Which are, (N,), bool; only those are written.
        last_key: (K, h, w), of the next memory.
        last_masks: (N, h, w), of the next memory.
        queries: (N, C), of the next memory.
        keys: Row of the frame, (K, h', w').
        covers: Row, (N, h', w').
        tokens: Row, (N, C).
        quality: Row, (N,), for the choice of what to forget.
    """

    mask_logits: Tensor
    scores: Tensor
    visible: Tensor
    last_key: Tensor
    last_masks: Tensor
    queries: Tensor
    keys: Tensor
    covers: Tensor
    tokens: Tensor
    quality: Tensor


class PropagationStep(nn.Module):
    """One frame of a video without new prompts, the memory being inputs and outputs.

    The program around it appends the rows where anything is visible, and forgets frames by rule.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM` with a memory.
        task: vos or interactive_video.
    """

    def __init__(self, model: Any, task: Task = Task.VOS) -> None:
        super().__init__()
        self.head = without_texts(model.head)
        self.task = task

    def forward(
        self, memory: FrameMemory, mask_features: Tensor, context_feats: Tensor | None = None
    ) -> StepResult:
        """Go on by one frame, (1, C, h, w) and (1, C, h', w').

        Args:
            memory: Of at least one frame, with all N objects known.
            mask_features: Of the frame.
            context_feats: Of the frame, if the model has them.
        """
        state, adapter = memory.state(), self.head.memory
        features = _one_frame(mask_features)
        size = mask_features.shape[-2:]
        canvas = size[0] * STRIDE, size[1] * STRIDE
        frame = Frame(features, _one_frame(context_feats), canvas, [canvas])
        keys = adapter.encode(mask_features).of_clip(0)
        readout = adapter.read(state, keys, features[0, 0], memory.prompted_frames)
        assert readout is not None, 'a memory of at least one frame was asked for'
        masks = readout.masks
        step = ClipStep(self.head, self.head.router.routes[self.task])
        count = state.num_objects
        yes = torch.ones(1, count, dtype=torch.bool, device=features.device)
        batch = PromptBatch(
            points=features.new_zeros(1, count, 0, 2),
            point_labels=torch.zeros(1, count, 0, dtype=torch.int64, device=features.device),
            boxes=features.new_zeros(1, count, 4),
            has_box=~yes,
            mask_probs=masks.propagated[None],
            has_mask=yes,
            previous=features.new_zeros(1, count, 1, *size),
            has_previous=~yes,
            texts=[(None,) * count],
            valid=yes,
        )
        asked = AskedFrame(
            batch=batch,
            given=~yes,
            propagated=yes,
            again=masks.redetected[None],
            contents=readout.contents[None],
            moved=masks.moved[None],
            searched=readout.searched[None],
            areas=readout.areas[None],
        )
        answer = step.answer(asked, [state], frame, has_paths=step.refines)
        seen = step.seen(answer, asked, 0, count)
        after, row = adapter.observe(state, keys, seen, features[0, 0])
        return StepResult(
            mask_logits=answer.mask_logits[0].float(),
            scores=answer.scores[0],
            visible=row['written'],
            last_key=after.last_key,
            last_masks=after.last_masks,
            queries=after.queries,
            keys=row['keys'],
            covers=row['covers'],
            tokens=row['tokens'],
            quality=row['quality'],
        )


def without_texts(head: Any) -> Any:
    """A head that shares all parts but does not look for objects by texts."""
    bare = copy.copy(head)
    bare._modules = {**head._modules, 'text_matcher': None}
    return bare


def _one_frame(feats: Any) -> Any:
    """Features (B, C, h, w) of a clip of one frame, (B, 1, C, h, w)."""
    return None if feats is None else feats.unsqueeze(1)
