"""A training step of clips whose objects are carried by the memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor
from torch.nn import functional as F

from seg.models.heads.answered_rounds import (
    AnsweredRound,
    alignment_loss,
    count_rounds,
    covers_of,
    round_losses,
)
from seg.models.heads.clip_following import rows_of_frame
from seg.models.heads.clip_frame import Frame, FrameAnswer
from seg.models.heads.clip_step import ClipStep
from seg.models.heads.prompt_rounds import corrected_prompts
from seg.models.heads.slot_prompts import prompts_by_slot
from seg.models.heads.spoken_texts import SpokenTexts
from seg.models.losses import Targets
from seg.models.memory import MemoryState
from seg.models.refinement import mask_distance
from seg.models.routing import Route
from seg.structures import ClipSample, Prompts, StageOutput, Task

if TYPE_CHECKING:
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead

FOUND_IOU = 0.4
"""A mask that overlaps its object less has not found it."""


class ClipTraining:
    """One step: go through the clips frame by frame and remember what was predicted.

    Ground truth enters the memory on the first frame of vos alone, and on others as often as the
    head's :class:`ClipSchedule` says. In interactive clips one frame may be corrected by clicks.
    Gradients flow back through the memory until it is detached.

    Args:
        head: Whose step it is.
        route: The way of the batch.
        wanted: Names of the losses to compute.
        mask_features: (B, T, C, h, w).
        context_feats: (B, T, C, h', w') or ``None``.
        samples: With their prompts, each on its frame.
        targets: One row per prompt.
    """

    def __init__(
        self,
        head: RapSAMVideoHead,
        route: Route,
        wanted: frozenset[str],
        mask_features: Tensor,
        context_feats: Tensor | None,
        samples: Sequence[ClipSample],
        targets: Sequence[Targets],
    ) -> None:
        self.head = head
        self.wanted = wanted
        self.samples = samples
        self.is_interactive = route.task is Task.INTERACTIVE_VIDEO
        self.mask_features = mask_features
        self.context_feats = context_feats
        self.spoken = SpokenTexts.of(samples)
        orders = [sample.prompts.frame_index.argsort(stable=True) for sample in samples]
        ordered = list(zip(samples, targets, orders, strict=True))
        self.prompts = [_as_slots(sample.prompts, order) for sample, _, order in ordered]
        self.targets = [_reordered(target, order) for _, target, order in ordered]
        self.segments = [sample.prompt_targets[order] for sample, _, order in ordered]
        self.covers = [covers_of(t.masks, mask_features.shape[-2:]) for t in self.targets]
        self.step = ClipStep(head, route)
        self.answers: list[tuple[int, FrameAnswer]] = []
        self.states = self._run(context_feats)
        self.rounds = [self._judge(t, answer) for t, answer in self.answers]
        self.started = [self._started(t, answer) for t, answer in self.answers]
        self.searched = [self._searched(t, answer) for t, answer in self.answers]

    def _run(self, context_feats: Tensor | None) -> list[MemoryState]:
        """All frames in order; returns the memories after the last one."""
        schedule, num_frames = self.head.clip_schedule, self.mask_features.shape[1]
        states = [
            self.head.memory.start(self.mask_features).with_objects(rows.object_ids.tolist())
            for rows in self.prompts
        ]
        corrected = schedule.corrected_frame(num_frames) if self.is_interactive else None
        for t in range(num_frames):
            frame = self._frame(t, context_feats)
            prompts = [rows_of_frame(rows, t) for rows in self.prompts]
            known = [c[:, t] for c in self.covers] if schedule.remembers_truth() else None
            answer, after = self.step(states, frame, prompts, known)
            self.answers.append((t, answer))
            if t == corrected:
                prompts = [
                    self._corrections(i, t, state, prompts[i], answer)
                    for i, state in enumerate(states)
                ]
                answer, after = self.step(states, frame, prompts, known)
                self.answers.append((t, answer))
            states = after
            if (t + 1) % schedule.detach_every == 0:
                states = [state.detach() for state in states]
        return states

    def _frame(self, t: int, context_feats: Tensor | None) -> Frame:
        return Frame(
            self.mask_features[:, t : t + 1],
            None if context_feats is None else context_feats[:, t : t + 1],
            self.samples[0].batch_input_shape,
            [sample.img_shape for sample in self.samples],
        )

    def _corrections(
        self, i: int, t: int, state: MemoryState, given: Prompts | None, answer: FrameAnswer
    ) -> Prompts | None:
        """The prompts of a frame with a click on the largest error of each visible object."""
        rows = prompts_by_slot(state, given)
        count = len(rows)
        if not count:
            return given
        logits = answer.mask_logits[i, :count, None].float()
        clicked = corrected_prompts(rows, logits, self.targets[i].masks[:, t : t + 1])
        seen = answer.active[i, :count] & self._visible(i, t)
        clicked = clicked[(seen & clicked.is_valid).nonzero().flatten()]
        return clicked if len(clicked) else None

    def _visible(self, i: int, t: int) -> Tensor:
        """Which objects of a clip can be seen on a frame, (n,), bool."""
        return self.targets[i].masks[:, t].flatten(1).any(dim=1)

    def _rows(self, i: int, t: int, answer: FrameAnswer, *, visible: bool) -> tuple[Tensor, Tensor]:
        """Objects that answer for themselves, and the rows of the output in which they do."""
        count = len(self.targets[i].labels)
        counted = self._visible(i, t) if visible else torch.ones_like(self._visible(i, t))
        objects = (answer.active[i, :count] & counted).nonzero().flatten()
        if not answer.has_paths:
            return objects, objects
        again = (answer.propagated[i, :count] & counted).nonzero().flatten()
        return torch.cat([objects, again]), torch.cat([objects, again + answer.num_objects])

    def _targets(self, i: int, t: int, objects: Tensor, rows: Tensor) -> Targets:
        target = self.targets[i]
        return replace(
            target,
            masks=target.masks[objects, t : t + 1],
            labels=target.labels[objects],
            queries=rows,
        )

    def _judge(self, t: int, answer: FrameAnswer) -> AnsweredRound:
        """Visible objects get mask losses; the quality of all masks is trained."""
        clips = range(len(self.targets))
        chosen, every = (
            [self._targets(i, t, *self._rows(i, t, answer, visible=visible)) for i in clips]
            for visible in (True, False)
        )
        sharpen = self.head.sharpening(self.mask_features[:, t : t + 1])
        return AnsweredRound(answer.outputs, 1, chosen, every, sharpen)

    def _started(self, t: int, answer: FrameAnswer) -> AnsweredRound:
        """The masks that the memory proposed, as a prediction of their own."""
        chosen = []
        for i in range(len(self.targets)):
            objects, rows = self._rows(i, t, answer, visible=True)
            kept = answer.propagated[i, objects]
            chosen.append(self._targets(i, t, objects[kept], rows[kept]))
        return _masks_alone(answer.proposed, answer.outputs[-1].queries, chosen)

    def _searched(self, t: int, answer: FrameAnswer) -> AnsweredRound:
        """What the memory found by looks as wholes, as a prediction of its own."""
        counted = answer.propagated & self._all_visible(t, answer)
        weights = (counted * self._counts_of_lost(answer)).long()
        everyone = torch.arange(counted.shape[1], device=counted.device)
        objects = [everyone.repeat_interleave(row) for row in weights]
        chosen = [self._targets(i, t, rows, rows) for i, rows in enumerate(objects)]
        return _masks_alone(answer.searched, answer.queries, chosen)

    def _counts_of_lost(self, answer: FrameAnswer) -> Tensor:
        """How often objects count, (B, N): more if memory has them but not from the last frame."""
        was_seen = answer.moved.flatten(2).any(dim=2)
        lost = answer.propagated & ~was_seen
        return torch.where(lost, float(self.head.clip_schedule.lost_weight), 1.0)

    def counts(self) -> dict[str, Tensor | float]:
        """What the losses are divided by, summed over the frames."""
        return {
            'prompts': float(sum(len(rows) for rows in self._first_rows())),
            'texts': float(len(self.spoken)),
            'proposals': count_rounds(self.head.criterion, self.started)['masks'],
            'searches': count_rounds(self.head.criterion, self.searched)['masks'],
            'neighbours': float(sum(int(m.sum()) for _, _, m in self._neighbours())),
            'pairs': float(sum(int(m.sum()) for _, m in self._pairs())),
            'tokens': float(sum(int(m.sum()) for _, m in self._token_pairs())),
            **count_rounds(self.head.criterion, self.rounds),
        }

    def losses(self, averages: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Raw losses, divided by averaged counts and so means over the frames."""
        criterion = self.head.criterion
        raw = round_losses(criterion, self.rounds, self.wanted, averages)
        parts = self.wanted & {'mask', 'dice'}
        for kind, rounds, count in (
            ('proposal', self.started, averages['proposals']),
            ('search', self.searched, averages['searches']),
        ):
            divided = {**averages, 'masks': count, 'qualities': count}
            found = round_losses(criterion, rounds, parts, divided)
            raw |= {f'{kind}.{name}': value for name, value in found.items()}
        computed = {
            'temporal': (self._temporal_loss, 'neighbours'),
            'dpsr': (self._dpsr_loss, 'pairs'),
            'memory_align': (self._align_loss, 'tokens'),
            'object_score': (self._score_loss, 'qualities'),
        }
        for name, (compute, divisor) in computed.items():
            if name in self.wanted:
                raw[name] = compute() / averages[divisor].clamp(min=1)
        return raw | self._meaning_losses(averages)

    def _meaning_losses(self, averages: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Losses of the prompts on the first frame."""
        size = self.mask_features.shape[-2:]
        covers = [covers_of(s.gt_segments.masks[:, :1], size) for s in self.samples]
        asked = self.answers[0][1].asked
        raw = alignment_loss(
            self.head,
            asked,
            self.wanted,
            self.mask_features[:, :1],
            covers,
            self._first_rows(),
            averages,
        )
        return raw | self.spoken.losses(
            self.head,
            self.wanted,
            self.mask_features,
            self.context_feats,
            averages,
            asked.found,
        )

    def _first_rows(self) -> list[Tensor]:
        """Segments of the prompts on the first frame; these prompts have the first slots."""
        return [
            segments[rows.frame_index == 0]
            for segments, rows in zip(self.segments, self.prompts, strict=True)
        ]

    def _neighbours(self) -> list[tuple[int, FrameAnswer, Tensor]]:
        """Frames with the objects (B, N) that are visible there and were just before."""
        found = []
        for t, answer in self.answers:
            counted = answer.propagated & self._all_visible(t, answer)
            found.append((t, answer, counted & (answer.moved.flatten(2).sum(dim=2) > 0.5)))
        return found

    def _pairs(self) -> list[tuple[FrameAnswer, Tensor]]:
        """Frames with the objects (B, N) that both paths answer for and that are visible."""
        return [
            (answer, answer.propagated & self._all_visible(t, answer))
            for t, answer in self.answers
            if answer.has_paths
        ]

    def _all_visible(self, t: int, answer: FrameAnswer) -> Tensor:
        """Which objects can be seen on a frame, (B, N), bool."""
        visible = torch.zeros_like(answer.active)
        for i in range(len(self.targets)):
            visible[i, : len(self.targets[i].labels)] = self._visible(i, t)
        return visible

    def _temporal_loss(self) -> Tensor:
        """Distance of each predicted mask from the last prediction, carried along; summed."""
        total = self.mask_features.new_zeros(())
        for _, answer, counted in self._neighbours():
            now = answer.path(0).mask_logits.float().sigmoid()
            apart = mask_distance(answer.moved.flatten(0, 1), now)
            total = total + (apart * counted.flatten()).sum()
        return total

    def _dpsr_loss(self) -> Tensor:
        total = self.mask_features.new_zeros(())
        for answer, counted in self._pairs():
            apart = self.head.dual_path.loss(answer.path(0), answer.path(1))
            total = total + (apart * counted.flatten()).sum()
        return total

    def _score_loss(self) -> Tensor:
        """Cross-entropy of "this mask is the object", summed."""
        total = self.mask_features.new_zeros(())
        for t, answer in self.answers:
            weights = self._counts_of_lost(answer)
            for i in range(len(self.targets)):
                objects, rows = self._rows(i, t, answer, visible=False)
                masks = answer.outputs[-1].mask_logits[i, rows, 0].detach().float().sigmoid()
                truth = self.covers[i][objects, t]
                overlap = torch.minimum(masks, truth).flatten(1).sum(dim=1)
                union = torch.maximum(masks, truth).flatten(1).sum(dim=1)
                found = (overlap > FOUND_IOU * union) & self._visible(i, t)[objects]
                total = total + F.binary_cross_entropy_with_logits(
                    answer.score_logits[i, rows],
                    found.float(),
                    weight=weights[i, objects],
                    reduction='sum',
                )
        return total

    def _token_pairs(self) -> list[tuple[MemoryState, Tensor]]:
        """Memories with the tokens (F, n) whose object was remembered before, beside others."""
        found = []
        for i, state in enumerate(self.states):
            before = state.written.cumsum(dim=0) - state.written.long() > 0
            others = torch.stack(
                [(self.segments[i] != segment) & state.known for segment in self.segments[i]]
                or [state.known.new_zeros(0, 0)]
            ).any(dim=-1)
            found.append((state, state.written & before & others))
        return found

    def _align_loss(self) -> Tensor:
        """Cross-entropy of each token being its object's, by earlier tokens; summed.

        Contrastive loss (van den Oord et al., 2018, equation 4) between an object's token on a
        frame and the mean of each object's tokens on the frames before.
        """
        total = self.mask_features.new_zeros(())
        for i, (state, counted) in enumerate(self._token_pairs()):
            if not bool(counted.any()):
                continue
            weights = state.written.float().unsqueeze(-1)
            sums = (state.tokens * weights).cumsum(dim=0) - state.tokens * weights
            counts = weights.cumsum(dim=0) - weights
            earlier = F.normalize(sums / counts.clamp(min=1), dim=-1)
            logits = F.normalize(state.tokens, dim=-1) @ earlier.transpose(1, 2) / TEMPERATURE
            same = self.segments[i][:, None] == self.segments[i]
            same &= ~torch.eye(len(same), dtype=torch.bool, device=same.device)
            hidden = same | (counts.squeeze(-1) == 0).unsqueeze(1)
            logits = logits.masked_fill(hidden, -torch.inf)
            labels = torch.arange(len(same), device=same.device).expand(len(logits), -1)
            total = total + F.cross_entropy(logits[counted], labels[counted], reduction='sum')
        return total


TEMPERATURE = 0.1
"""Cosines of tokens are divided by it."""


def _masks_alone(mask_logits: Tensor, queries: Tensor, chosen: Sequence[Targets]) -> AnsweredRound:
    """Masks (B, rows, h, w) as a prediction of which nothing else is judged."""
    masks = StageOutput(queries, mask_logits.unsqueeze(2), class_logits=None, iou_logits=None)
    return AnsweredRound([masks], 1, chosen, chosen)


def _as_slots(prompts: Prompts, order: Tensor) -> Prompts:
    """Prompts in the order of their frames, every row an object of its own."""
    rows = prompts[order]
    ids = torch.arange(1, len(rows) + 1, device=rows.object_ids.device)
    return replace(rows, object_ids=ids)


def _reordered(target: Targets, order: Tensor) -> Targets:
    order = order.to(target.labels.device)
    return replace(target, masks=target.masks[order], labels=target.labels[order])
