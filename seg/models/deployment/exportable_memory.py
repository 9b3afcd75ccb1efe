"""The memory of a video as networks that leave Python: tensors in, tensors out."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from seg.models.deployment.exportable import STRIDE, one_frame, without_texts
from seg.models.heads.clip_frame import AskedFrame, Frame
from seg.models.heads.clip_step import ClipStep, shifted
from seg.models.memory import MemoryState
from seg.models.prompts.prompt_maps import PromptBatch
from seg.structures import Task


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
        """The state, under slots as ids.

        Qualities are 1 and no frame counts as protected: the program around forgets frames.
        """
        values = self._asdict()
        del values['prompted_frames']
        count = self.queries.shape[0]
        ids = torch.arange(count, device=self.queries.device)
        quality = torch.ones_like(self.written, dtype=torch.float32)
        doubted = torch.zeros_like(ids, dtype=torch.bool)
        return MemoryState(object_ids=ids, quality=quality, doubted=doubted, **values, num_firsts=0)


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


class StartResult(NamedTuple):
    """What is remembered of the frame on which objects are given; see :class:`StepResult`.

    Attributes:
        visible: Which objects are there at all, (N,), bool; only those are written.
        last_key: (K, h, w).
        last_masks: (N, h, w).
        queries: (N, C).
        score_shift: (N,).
        keys: Row of the frame, (K, h', w').
        covers: Row, (N, h', w').
        tokens: Row, (N, C).
        quality: Row, (N,).
    """

    visible: Tensor
    last_key: Tensor
    last_masks: Tensor
    queries: Tensor
    score_shift: Tensor
    keys: Tensor
    covers: Tensor
    tokens: Tensor
    quality: Tensor


class StartingStep(nn.Module):
    """Masks of objects on a frame to what a memory holds of it.

    The masks are the user's, or answers of a :class:`PromptDecoder`. The program around it takes
    the rows as those of a prompted frame: the first ones of a memory, or one more after a
    correction.

    Args:
        model: A :class:`~seg.models.detectors.RapSAM` with a memory.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.head = without_texts(model.head)

    def forward(
        self, masks: Tensor, mask_features: Tensor, context_feats: Tensor | None = None
    ) -> StartResult:
        """Remember a frame.

        Args:
            masks: Share of each cell of the features that each object covers, (N, h, w).
            mask_features: Of the frame, (1, C, h, w).
            context_feats: Of the frame, if the model has them.
        """
        adapter = self.head.memory
        features = one_frame(mask_features)
        frame = _whole_frame(features, one_frame(context_feats))
        count = masks.shape[0]
        ids = torch.arange(count, device=masks.device)
        state = adapter.start(features).with_slots(ids)
        batch = _mask_batch(masks)
        nothing = torch.zeros_like(masks)[None]
        asked = AskedFrame(
            batch=batch,
            given=batch.valid,
            propagated=~batch.valid,
            contents=features.new_zeros(1, count, features.shape[2]),
            moved=nothing,
            searched=nothing,
            areas=features.new_zeros(1, count),
            last=state.last_masks[None],
            score_shift=state.score_shift[None],
        )
        step = ClipStep(self.head, self.head.router.routes[Task.VOS])
        answer = step.answer(asked, frame)
        keys = adapter.encode(mask_features).of_clip(0)
        seen = step.seen(answer, asked, 0, count)
        after, row = adapter.observe(state, keys, seen, features[0, 0])
        return StartResult(
            visible=row['written'],
            last_key=after.last_key,
            last_masks=after.last_masks,
            queries=after.queries,
            score_shift=shifted(state, answer, asked.given, 0).score_shift,
            keys=row['keys'],
            covers=row['covers'],
            tokens=row['tokens'],
            quality=row['quality'],
        )


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
        features = one_frame(mask_features)
        frame = _whole_frame(features, one_frame(context_feats))
        keys = adapter.encode(mask_features).of_clip(0)
        readout = adapter.read(state, keys, features[0, 0])
        assert readout is not None, 'a memory of at least one frame was asked for'
        masks = readout.masks
        step = ClipStep(self.head, self.head.router.routes[self.task])
        count = state.num_objects
        batch = _mask_batch(masks.propagated)
        asked = AskedFrame(
            batch=batch,
            given=~batch.valid,
            propagated=batch.valid,
            contents=readout.contents[None],
            moved=masks.moved[None],
            searched=readout.searched[None],
            areas=readout.areas[None],
            last=state.last_masks[None],
            score_shift=state.score_shift[None],
        )
        again = None
        if step.refines:
            again = adapter.find_again(state, keys, readout, memory.prompted_frames)[None]
        answer = step.answer(asked, frame, again)
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


def _mask_batch(masks: Tensor) -> PromptBatch:
    """Prompts of one clip that are masks (N, h, w) alone."""
    count, *size = masks.shape
    yes = torch.ones(1, count, dtype=torch.bool, device=masks.device)
    return PromptBatch(
        points=masks.new_zeros(1, count, 0, 2),
        point_labels=torch.zeros(1, count, 0, dtype=torch.int64, device=masks.device),
        boxes=masks.new_zeros(1, count, 4),
        has_box=~yes,
        mask_probs=masks[None],
        has_mask=yes,
        previous=masks.new_zeros(1, count, 1, *size),
        has_previous=~yes,
        texts=[(None,) * count],
        valid=yes,
    )


def _whole_frame(mask_features: Tensor, context_feats: Tensor | None) -> Frame:
    """A frame (1, 1, C, h, w) that fills the canvas."""
    height, width = mask_features.shape[-2:]
    canvas = height * STRIDE, width * STRIDE
    return Frame(mask_features, context_feats, canvas, [canvas])
