"""One frame of a video: prompts, memory and decoder in, masks and a new memory out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seg.models.heads.asked_objects import AskedObjects
from seg.models.heads.clip_frame import AskedFrame, Frame, FrameAnswer
from seg.models.heads.competing import compete, compete_with_given
from seg.models.heads.joined_paths import SecondPath, with_second_path
from seg.models.heads.slot_prompts import prompts_by_slot, side_by_side
from seg.models.memory import (
    ExpectedObjects,
    FrameKeys,
    MemoryReadout,
    MemoryState,
    SeenObjects,
    StreamingMemoryAdapter,
    mask_stability,
)
from seg.models.prompts import ClickKeeper, PromptQueries
from seg.models.prompts.prompt_maps import WINDOW_LOGIT, PromptBatch, batch_prompts
from seg.models.routing import Route
from seg.structures import Prompts, Task
from seg.utils.devices import can_look, runs_ahead

if TYPE_CHECKING:
    from seg.models.heads.rapsam_video_head import RapSAMVideoHead

_PROMPTED_LOGIT, _LARGEST_SHIFT = 1.0, 2.0


class ClipStep:
    """Answers one frame of B clips and remembers it.

    Objects that are prompted on the frame are answered as in an image; if they are remembered, the
    memory gives the mask that the prompts correct. All others start from the masks that the
    memory proposes. Both go through the decoder side by side. An image is a clip of one frame.

    Args:
        head: Whose parts are used.
        route: The way of the task.
    """

    def __init__(self, head: RapSAMVideoHead, route: Route) -> None:
        assert head.memory is not None, 'only heads with a memory step through clips'
        self.head = head
        self.memory: StreamingMemoryAdapter = head.memory
        self.route = route
        self.refines = route.dpsr and head.dual_path is not None

    @property
    def keeper(self) -> ClickKeeper | None:
        """What makes masks obey the clicks; nothing where masks must not overlap."""
        return None if self.route.task is Task.VOS else self.head.click_keeper

    def __call__(
        self,
        states: Sequence[MemoryState],
        frame: Frame,
        prompts: Sequence[Prompts | None],
        known_masks: Sequence[Tensor | None] | None = None,
    ) -> tuple[FrameAnswer, list[MemoryState]]:
        """Go on by one frame.

        Args:
            states: What is remembered of each clip.
            frame: The frame.
            prompts: What is said about objects on it, one row per object, in pixels of the padded
                input; new objects get slots in their order. ``None`` where nothing is said.
            known_masks: Masks to remember instead of the answer's, (N, h, w) each, in [0, 1]; for
                training.

        Returns:
            The answer and the memories after the frame.
        """
        states = [
            state if rows is None else state.with_objects(rows.object_ids.tolist())
            for state, rows in zip(states, prompts, strict=True)
        ]
        keys = self.memory.encode(frame.mask_features[:, 0])
        readouts = [
            self.memory.read(state, keys.of_clip(i), frame.mask_features[i, 0])
            for i, state in enumerate(states)
        ]
        asked = self._ask(states, frame, prompts, readouts)
        find_again = partial(self._find_again, states, keys, readouts, asked)
        if not self.refines or all(readout is None for readout in readouts):
            answer = self.answer(asked, frame)
        elif self.head.training or runs_ahead(frame.mask_features.device):
            answer = self.answer(asked, frame, find_again())
        else:
            doubted = padded([state.doubted for state in states], asked.given)
            answer = self.answer_by_need(asked, frame, find_again, doubted)
        after = []
        for i, state in enumerate(states):
            known = None if known_masks is None else known_masks[i]
            seen = self.seen(answer, asked, i, state.num_objects, known)
            before = shifted(self._with_texts(state, prompts[i]), answer, asked.given, i)
            before = replace(before, doubted=answer.unsure[i, : state.num_objects])
            features = frame.mask_features[i, 0]
            is_prompted = prompts[i] is not None
            after.append(
                self.memory.write(before, keys.of_clip(i), seen, features, is_prompted=is_prompted)
            )
        return answer, after

    def _ask(
        self,
        states: Sequence[MemoryState],
        frame: Frame,
        prompts: Sequence[Prompts | None],
        readouts: Sequence[MemoryReadout | None],
    ) -> AskedFrame:
        """Prompts of the user and of the memory, side by side."""
        said = [rows for rows in prompts if rows is not None]
        self.head.prompt_encoder.check(said)
        rows = [prompts_by_slot(state, given) for state, given in zip(states, prompts, strict=True)]
        batch = batch_prompts(rows, frame.mask_features)
        size, channels = batch.mask_probs.shape[-2:], frame.mask_features.shape[2]
        zeros = batch.mask_probs.new_zeros
        given = zeros(batch.valid.shape).bool()
        known = torch.zeros_like(given)
        ahead, moved, searched = (zeros(*batch.valid.shape, *size) for _ in range(3))
        contents, last = zeros(*batch.valid.shape, channels), zeros(*batch.valid.shape, *size)
        areas, shift = zeros(batch.valid.shape), zeros(batch.valid.shape)
        for i, readout in enumerate(readouts):
            n = states[i].num_objects
            last[i, :n], shift[i, :n] = states[i].last_masks, states[i].score_shift
            given[i, :n] = rows[i].is_valid.to(given.device)
            if readout is not None:
                known[i, :n] = readout.known
                ahead[i, :n], moved[i, :n] = readout.masks
                contents[i, :n], searched[i, :n] = readout.contents, readout.searched
                areas[i, :n] = readout.areas
        propagated = known & ~given
        corrected = (known & given & ~batch.has_mask & ~batch.has_previous)[..., None, None, None]
        proposal = (WINDOW_LOGIT * (2 * ahead - 1)).unsqueeze(2)
        batch = replace(
            batch,
            mask_probs=torch.where(propagated[..., None, None], ahead, batch.mask_probs),
            has_mask=batch.has_mask | propagated,
            previous=torch.where(corrected, proposal, batch.previous),
            has_previous=batch.has_previous | corrected[..., 0, 0, 0],
            valid=given | propagated,
        )
        return AskedFrame(batch, given, propagated, contents, moved, searched, areas, last, shift)

    def _find_again(
        self,
        states: Sequence[MemoryState],
        keys: FrameKeys,
        readouts: Sequence[MemoryReadout | None],
        asked: AskedFrame,
    ) -> Tensor:
        """Masks that memories find anew, (B, N, h, w), in [0, 1]; zero where there is none."""
        again = torch.zeros_like(asked.last)
        for i, readout in enumerate(readouts):
            if readout is not None:
                found = self.memory.find_again(states[i], keys.of_clip(i), readout)
                again[i, : len(found)] = found
        return again

    def answer(self, asked: AskedFrame, frame: Frame, again: Tensor | None = None) -> FrameAnswer:
        """Run the decoder and join the paths.

        In training those of all objects from memory; else of those that memory is unsure of, as
        the second path would hardly count elsewhere; see :class:`DualPathRefinement`.

        Args:
            asked: The questions.
            frame: The frame.
            again: Masks that memory finds anew, (B, N, h, w), in [0, 1], from which the second path
                starts. Without them there is no second path.
        """
        if again is None:
            return self._settle(self._decode(asked, frame), asked, frame)
        refinement = self.head.dual_path
        assert refinement is not None, 'checked when the step was made'
        answer = self._decode(asked, frame, asked.found_anew(again, refinement))
        unsure = asked.propagated if self.head.training else self._unsure(answer, asked)
        answer = answer._replace(unsure=unsure)
        answer = with_second_path(answer, SecondPath.behind(answer, None), refinement)
        return self._settle(answer, asked, frame)

    def answer_by_need(
        self,
        asked: AskedFrame,
        frame: Frame,
        find_again: Callable[[], Tensor],
        doubted: Tensor,
    ) -> FrameAnswer:
        """The same with less work: only objects that memory is unsure of are found anew.

        Which ones that are is known after the decoder has run, so this waits for the device, and
        the decoder runs again for them. Of ten that are unsure, nine were so on the last frame:
        those take their second path beside the first, in fewer calls.

        Args:
            asked: The questions.
            frame: The frame.
            find_again: Finds masks anew, see :meth:`answer`.
            doubted: Objects that memory was unsure of on the last frame, (B, N), bool.
        """
        refinement = self.head.dual_path
        assert refinement is not None, 'checked when the step was made'
        masks_found = cache(find_again)

        def found_anew(index: Tensor) -> AskedFrame:
            again = masks_found().index_select(1, index)
            return asked.rows(index).found_anew(again, refinement)

        expected = (doubted & asked.propagated).any(dim=0)
        index = expected.nonzero().flatten()
        answer = self._decode(asked, frame, found_anew(index) if len(index) else None)
        answer = answer._replace(unsure=self._unsure(answer, asked))
        if len(index):
            answer = with_second_path(answer, SecondPath.behind(answer, index), refinement)
        index = (answer.unsure.any(dim=0) & ~expected).nonzero().flatten()
        if len(index):
            second = self._decode(found_anew(index), frame)
            answer = with_second_path(answer, SecondPath.alone(second, index), refinement)
        return self._settle(answer, asked, frame)

    def _unsure(self, answer: FrameAnswer, asked: AskedFrame) -> Tensor:
        """Objects from memory that a second path may change, (B, N), bool."""
        assert self.head.dual_path is not None, 'checked when the step was made'
        unsure = self.head.dual_path.is_unsure(answer.path(0).confidence)
        return unsure.view(asked.propagated.shape) & asked.propagated

    def _decode(
        self, asked: AskedFrame, frame: Frame, second: AskedFrame | None = None
    ) -> FrameAnswer:
        """What the decoder says as it is, rows of the second path behind those of the first."""
        encoded = self._encode(asked, frame, second)
        outputs = self.head(frame.mask_features, frame.context_feats, self.route, encoded.queries)
        final = outputs[-1]
        assert final.iou_logits is not None, 'prompted objects need a quality estimate'
        started = _started_from(encoded.queries)
        num_objects, paths = asked.last.shape[1], [asked] if second is None else [asked, second]
        known = ([path.last, path.searched, path.areas] for path in paths)
        expected = ExpectedObjects(
            started.sigmoid().flatten(0, 1),
            *(torch.cat(values, dim=1).flatten(0, 1) for values in zip(*known, strict=True)),
        )
        score_logits = self.memory.score(
            final.queries.flatten(0, 1), final.mask_logits[:, :, 0].flatten(0, 1), expected
        ).unflatten(0, final.queries.shape[:2])
        return FrameAnswer(
            outputs=outputs,
            asked=encoded,
            proposed=started,
            score_logits=score_logits,
            score_shift=asked.score_shift,
            unsure=torch.zeros_like(asked.propagated),
            mask_logits=final.mask_logits[:, :num_objects, 0],
            scores=(score_logits[:, :num_objects] + asked.score_shift).sigmoid(),
            least_scores=self._least_scores(asked),
            iou_scores=final.iou_logits[:, :num_objects].clamp(0, 1),
            queries=final.queries[:, :num_objects],
            active=asked.batch.valid,
            propagated=asked.propagated,
            moved=asked.moved,
            searched=asked.searched,
        )

    def _least_scores(self, asked: AskedFrame) -> Tensor:
        """Scores above which objects count as visible, (B, N).

        Args:
            asked: The questions; what the user points at is visible.
        """
        was_seen = asked.last.flatten(2).any(dim=2)
        least = torch.full_like(asked.areas, self.memory.return_score)
        least = least.masked_fill(was_seen, self.memory.visible_score)
        return least.masked_fill(asked.given, -1.0)

    def _encode(self, asked: AskedFrame, frame: Frame, second: AskedFrame | None) -> AskedObjects:
        """Queries of all rows."""
        batch, added = asked.batch, asked.contents
        if second is not None:
            batch = side_by_side(batch, second.batch)
            added = torch.cat([added, second.contents], dim=1)
        queries = self.head.prompt_encoder.encode(
            batch, frame.mask_features, canvas=frame.canvas, image_shapes=frame.image_shapes
        )
        queries = queries._replace(queries=queries.queries + added.to(queries.queries))
        return self.head.match_texts(queries, frame.mask_features, frame.context_feats)

    def _settle(self, answer: FrameAnswer, asked: AskedFrame, frame: Frame) -> FrameAnswer:
        """Given masks stand as they are, and no two objects of a vos clip share a pixel.

        In other tasks masks obey the clicks, except in training.
        """
        if self.keeper is not None and not self.head.training:
            return self._with_clicks_kept(answer, asked.batch, frame, self.keeper)
        if self.route.task is not Task.VOS:
            return answer
        exact = asked.given & asked.batch.has_mask
        logits = answer.mask_logits.float()
        if can_look(logits.device) and not bool(exact.any()):
            return answer._replace(mask_logits=compete(logits, answer.visible))
        settled = compete_with_given(logits, answer.visible, asked.batch.mask_probs.float(), exact)
        return answer._replace(mask_logits=settled)

    def _with_clicks_kept(
        self, answer: FrameAnswer, batch: PromptBatch, frame: Frame, keeper: ClickKeeper
    ) -> FrameAnswer:
        clips = zip(
            answer.mask_logits,
            batch.points,
            batch.point_labels,
            frame.mask_features[:, 0],
            strict=True,
        )
        kept = [keeper(*clip, canvas=frame.canvas) for clip in clips]
        return answer._replace(mask_logits=torch.stack(kept))

    def seen(
        self,
        answer: FrameAnswer,
        asked: AskedFrame,
        i: int,
        count: int,
        known: Tensor | None = None,
    ) -> SeenObjects:
        """What is to be remembered of the first ``count`` objects of clip ``i``."""
        given = asked.given[i, :count]
        logits, scores = answer.mask_logits[i, :count].float(), answer.scores[i, :count]
        visible = answer.visible[i, :count]
        if known is not None:
            visible = answer.active[i, :count] & known.flatten(1).any(dim=1)
        quality = answer.iou_scores[i, :count] * mask_stability(logits) * scores
        return SeenObjects(
            masks=logits.sigmoid() if known is None else known,
            queries=answer.queries[i, :count],
            quality=quality,
            visible=visible,
            prompted=given,
        )

    def _with_texts(self, state: MemoryState, prompts: Prompts | None) -> MemoryState:
        """The memory with the texts of this frame, encoded."""
        fusion = self.head.prompt_encoder.fusion
        if prompts is None or fusion is None or not fusion.understands_text:
            return state
        texts = {
            object_id: text
            for object_id, text in zip(prompts.object_ids.tolist(), prompts.texts, strict=True)
            if text is not None
        }
        if not texts:
            return state
        encoded = fusion.text_proj(fusion.text_encoder(list(texts.values())).to(state.texts))
        slots = torch.tensor(state.slots(list(texts)), device=state.texts.device)
        return replace(state, texts=state.texts.index_copy(0, slots, encoded.to(state.texts)))


def shifted(state: MemoryState, answer: FrameAnswer, given: Tensor, i: int) -> MemoryState:
    """The memory of clip ``i`` with how low objects are scored that are in sight for sure.

    Scores are learned on some data; on other data all of them may be low. What the user points at
    is in sight, so its score there says what to expect of it.

    Args:
        state: The memory.
        answer: About the frame.
        given: Which objects were prompted on it, (B, N), bool.
        i: The clip.
    """
    count = state.num_objects
    logits = answer.score_logits[i, :count].detach().float()
    shift = (_PROMPTED_LOGIT - logits).clamp(min=0.0, max=_LARGEST_SHIFT)
    return replace(state, score_shift=torch.where(given[i, :count], shift, state.score_shift))


def padded(rows: Sequence[Tensor], like: Tensor) -> Tensor:
    """Values of the objects of each clip, (n,) each, as those of the largest number, (B, N)."""
    values = torch.zeros_like(like)
    for i, row in enumerate(rows):
        values[i, : len(row)] = row
    return values


def _started_from(queries: PromptQueries) -> Tensor:
    """Logits of the first masks, (B, rows, h, w)."""
    assert queries.first_masks is not None, 'a head with a memory fuses prompts'
    return queries.first_masks[:, :, 0].float()
