"""A frame of clips, what is asked about it and what is answered."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from seg.models.heads.asked_objects import AskedObjects
from seg.models.heads.slot_prompts import second_path
from seg.models.prompts.prompt_maps import PromptBatch
from seg.models.refinement import DualPathRefinement, PathPrediction
from seg.structures import StageOutput


class Frame(NamedTuple):
    """One frame of B clips as the head takes it.

    Attributes:
        mask_features: (B, 1, C, h, w).
        context_feats: (B, 1, C, h', w') or ``None``.
        canvas: Size (H, W) of the padded input.
        image_shapes: Size (H, W) of each picture before padding.
    """

    mask_features: Tensor
    context_feats: Tensor | None
    canvas: tuple[int, int]
    image_shapes: list[tuple[int, int]]


class FrameAnswer(NamedTuple):
    """What is said about N objects of B clips on one frame; N is padded to the largest number.

    Rows of the decoder's outputs are the N objects and, behind them, those that were found anew in
    the frame: all N again, some of them, or none.

    Attributes:
        outputs: Predictions of all stages, the last one of the adapter.
        asked: The prompts behind them.
        proposed: What the decoder started from, logits (B, rows, h, w).
        score_logits: Whether each row's mask is its object, (B, rows).
        score_shift: What is added to them for objects that were scored low where they were
            prompted, (B, N).
        unsure: Objects of which memory was unsure, so that the second path counts as well, (B, N),
            bool; all from memory in training.
        mask_logits: The answer, (B, N, h, w).
        scores: How surely each object is visible, (B, N), in [0, 1].
        least_scores: What they have to exceed for it to count as visible, (B, N).
        iou_scores: Predicted quality, (B, N), in [0, 1].
        queries: (B, N, C).
        active: Objects that were prompted on this frame or one before, (B, N), bool.
        propagated: Objects that come from memory alone, (B, N), bool.
        moved: The last frame's masks carried to this one, (B, N, h, w), in [0, 1].
        searched: Logits of where memory finds each object by its looks, (B, N, h, w).
    """

    outputs: list[StageOutput]
    asked: AskedObjects
    proposed: Tensor
    score_logits: Tensor
    score_shift: Tensor
    unsure: Tensor
    mask_logits: Tensor
    scores: Tensor
    least_scores: Tensor
    iou_scores: Tensor
    queries: Tensor
    active: Tensor
    propagated: Tensor
    moved: Tensor
    searched: Tensor

    @property
    def num_objects(self) -> int:
        """N."""
        return self.mask_logits.shape[1]

    @property
    def visible(self) -> Tensor:
        """Which objects are seen on the frame, (B, N), bool."""
        return self.active & (self.scores > self.least_scores)

    @property
    def has_paths(self) -> bool:
        """Whether all objects have rows of the second path."""
        return self.score_logits.shape[1] == 2 * self.num_objects

    def path(self, index: int) -> PathPrediction:
        """What one path says: 0 propagated, about B * N objects, 1 found anew, about its rows."""
        rows = slice(0, self.num_objects) if index == 0 else slice(self.num_objects, None)
        final = self.outputs[-1]
        assert final.iou_logits is not None, 'prompted objects need a quality estimate'
        confidence = self.score_logits[:, rows].sigmoid() * final.iou_logits[:, rows].clamp(0, 1)
        return PathPrediction(
            final.mask_logits[:, rows, 0].flatten(0, 1),
            final.queries[:, rows].flatten(0, 1),
            confidence.flatten(),
        )


class AskedFrame(NamedTuple):
    """The questions of a frame; (B, N, ...) each.

    Attributes:
        batch: Prompts of the user and of the memory.
        given: Objects that the user points at on this frame, bool.
        propagated: Objects that come from memory alone, bool.
        contents: What memory adds to the queries, (B, N, C).
        moved: See :class:`FrameAnswer`.
        searched: See :class:`FrameAnswer`.
        areas: Cells that each object covered on remembered frames.
        last: Masks of the frame before, (B, N, h, w), in [0, 1].
        score_shift: See :class:`FrameAnswer`.
    """

    batch: PromptBatch
    given: Tensor
    propagated: Tensor
    contents: Tensor
    moved: Tensor
    searched: Tensor
    areas: Tensor
    last: Tensor
    score_shift: Tensor

    def rows(self, index: Tensor) -> AskedFrame:
        """Some of the objects, (R,), int64."""
        return AskedFrame(
            self.batch.rows(index), *(value.index_select(1, index) for value in self[1:])
        )

    def found_anew(self, again: Tensor, refinement: DualPathRefinement) -> AskedFrame:
        """The objects as the second path asks for them.

        Args:
            again: Masks that memory finds anew, (B, N, h, w), in [0, 1].
            refinement: Marks their queries.
        """
        return self._replace(
            batch=second_path(self.batch, again, self.propagated),
            contents=refinement.mark(self.contents),
        )
