"""Prompts of all kinds for evaluation, without chance."""

from __future__ import annotations

from collections.abc import Sequence

from mmcv.transforms import BaseTransform

from seg.datasets.transforms.loose_masks import fixed_loose_mask
from seg.datasets.transforms.prompt_rows import (
    PromptRow,
    VisibleSegment,
    check_kinds,
    expressions_of,
    set_prompts,
)
from seg.datasets.transforms.prompts import usable_segments
from seg.datasets.transforms.results import Results, require_in_step
from seg.registry import TRANSFORMS
from seg.structures import PROMPT_KINDS


@TRANSFORMS.register_module()
class EvaluationPrompts(BaseTransform):
    """One row per segment and kind of prompt, ordered by kind; deterministic.

    - click: the most interior pixel, :func:`seg.evaluation.functional.first_click`;
    - box: the tight box;
    - mask: the truth displaced to the lower right, grown in even and shrunk in odd segments until
      their IoU is about 0.7;
    - text: the expression, where there is one.

    Sets ``prompts``, ``prompt_targets`` and ``prompt_kinds``. Use it before ``TestResize``, so that
    it sees the masks at original resolution. Crowds are not prompted; in clips a segment is
    prompted on its first visible frame.

    Args:
        kinds: Which kinds, some of ``PROMPT_KINDS``.
        min_area: Smallest visible area of a segment to prompt, pixels.

    Raises:
        UserError: If a kind is unknown.
    """

    def __init__(self, kinds: Sequence[str] = PROMPT_KINDS, min_area: int = 1) -> None:
        self.kinds = check_kinds('EvaluationPrompts.kinds', kinds)
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample."""
        require_in_step(results, 'EvaluationPrompts')
        expressions = expressions_of(results, 'EvaluationPrompts')
        segments = {
            target: VisibleSegment(results['masks'][target].numpy())
            for target in usable_segments(results, self.min_area).tolist()
        }
        rows = [
            _row(kind, target, segment, expressions[target])
            for kind in self.kinds
            for target, segment in segments.items()
            if kind != 'text' or expressions[target] is not None
        ]
        set_prompts(results, rows)
        return results


def _row(kind: str, target: int, segment: VisibleSegment, expression: str | None) -> PromptRow:
    row = PromptRow(target, kind, segment.frame)
    if kind == 'click':
        return row._replace(point=segment.interior_point)
    if kind == 'box':
        return row._replace(box=segment.box)
    if kind == 'mask':
        loose = fixed_loose_mask(segment.mask, segment.box, grow=target % 2 == 0)
        return row._replace(mask=loose)
    return row._replace(text=expression)
