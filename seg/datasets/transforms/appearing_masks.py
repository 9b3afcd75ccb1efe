"""Prompts for objects in the frame in which they appear, as in evaluations of videos."""

from __future__ import annotations

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from seg.datasets.transforms.prompt_rows import (
    PromptRow,
    VisibleSegment,
    expressions_of,
    set_prompts,
)
from seg.datasets.transforms.results import Results, require_in_step
from seg.registry import TRANSFORMS
from seg.structures import Prompts
from seg.utils.checks import UserError, unknown_name_message

POINTED_KINDS = ('click', 'box', 'text')


@TRANSFORMS.register_module()
class AppearingMaskPrompts(BaseTransform):
    """The exact mask of every object in the first annotated frame that shows it; for evaluation.

    Most objects of DAVIS are there from frame 0 on; one that appears later gets its mask then, in
    a row with that ``frame_index``. Sets ``prompts`` and ``prompt_targets``, sorted by frame, and
    changes nothing else. Crowds are no objects. Put it before ``TestResize``.

    Args:
        min_area: Smallest area in that frame, pixels at original size; an object is waited for
            until it shows as much, and left out if it never does.
        num_things: Only segments whose label is below are objects, or unknown (-1); ``None`` for
            all.

    Raises:
        UserError: If ``min_area`` is below 1.
    """

    def __init__(self, min_area: int = 1, num_things: int | None = None) -> None:
        if min_area < 1:
            raise UserError(f'AppearingMaskPrompts: expected min_area >= 1, got {min_area}')
        self.min_area = min_area
        self.num_things = num_things

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample."""
        require_in_step(results, 'AppearingMaskPrompts')
        masks = results['masks']
        targets, first_frames = appearances(results, self.min_area, self.num_things)
        results['prompts'] = Prompts.create(
            masks=masks[targets, first_frames],
            object_ids=results['object_ids'][targets],
            frame_index=first_frames,
        )
        results['prompt_targets'] = targets
        return results


@TRANSFORMS.register_module()
class AppearingPrompts(BaseTransform):
    """One click, box or phrase per object, where :class:`AppearingMaskPrompts` gives its mask.

    - click: the most interior pixel, :func:`seg.evaluation.functional.first_click`;
    - box: the tight box;
    - text: the expression; objects without one are left out, and so are objects that are not there
      from the first frame on, which expressions speak about.

    Sets ``prompts``, ``prompt_targets`` and ``prompt_kinds``. Put it before ``TestResize``.

    Args:
        kind: ``'click'``, ``'box'`` or ``'text'``.
        min_area: As for :class:`AppearingMaskPrompts`.
        num_things: Likewise.

    Raises:
        UserError: If the kind is unknown or ``min_area`` is below 1.
    """

    def __init__(
        self, kind: str = 'click', min_area: int = 1, num_things: int | None = None
    ) -> None:
        if kind not in POINTED_KINDS:
            raise UserError(
                f'AppearingPrompts.kind: {unknown_name_message("prompt kind", kind, POINTED_KINDS)}'
            )
        if min_area < 1:
            raise UserError(f'AppearingPrompts: expected min_area >= 1, got {min_area}')
        self.kind = kind
        self.min_area = min_area
        self.num_things = num_things

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample."""
        require_in_step(results, 'AppearingPrompts')
        targets, frames = appearances(results, self.min_area, self.num_things)
        pairs = list(zip(targets.tolist(), frames.tolist(), strict=True))
        if self.kind == 'text':
            set_prompts(results, self._named(results, pairs))
        else:
            set_prompts(results, [self._shown(results, *pair) for pair in pairs])
        return results

    def _named(self, results: Results, pairs: list[tuple[int, int]]) -> list[PromptRow]:
        words = expressions_of(results, 'AppearingPrompts')
        return [
            PromptRow(target, 'text', frame, text=words[target])
            for target, frame in pairs
            if frame == 0 and words[target] is not None
        ]

    def _shown(self, results: Results, target: int, frame: int) -> PromptRow:
        segment = VisibleSegment(results['masks'][target, frame : frame + 1].numpy())
        row = PromptRow(target, self.kind, frame)
        if self.kind == 'box':
            return row._replace(box=segment.box)
        return row._replace(point=segment.interior_point)


def appearances(
    results: Results, min_area: int, num_things: int | None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Objects of a clip and the frame in which each appears, sorted by frame.

    Args:
        results: With masks at original size.
        min_area: Pixels that an object has to show to be there.
        num_things: Only segments whose label is below are objects; ``None`` for all.

    Returns:
        Rows of ``masks``, (M,), and frames, (M,), int64.
    """
    masks = results['masks']
    frames = list(results.get('annotated_frames', range(masks.shape[1])))
    areas = np.array(
        [[np.count_nonzero(masks[row, t].numpy()) for t in frames] for row in range(len(masks))]
    ).reshape(len(masks), len(frames))
    wanted = ~results['is_crowd'].numpy()
    if num_things is not None:
        wanted &= results['labels'].numpy() < num_things
    shown = (areas >= min_area) & wanted[:, None]
    rows = np.flatnonzero(shown.any(axis=1))
    first = np.array(frames, dtype=np.int64)[shown[rows].argmax(axis=1)]
    order = np.argsort(first, kind='stable')
    return torch.from_numpy(rows[order]), torch.from_numpy(first[order])
