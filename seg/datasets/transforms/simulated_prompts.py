"""Prompts of all kinds as people give them, made from ground truth for training."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from mmcv.transforms import BaseTransform

from seg.datasets.transforms.loose_masks import random_loose_mask
from seg.datasets.transforms.prompt_rows import (
    Box,
    PromptRow,
    VisibleSegment,
    check_kinds,
    expressions_of,
    set_prompts,
)
from seg.datasets.transforms.prompts import random_point, usable_segments
from seg.datasets.transforms.results import Results, require_in_step, rng_of
from seg.registry import TRANSFORMS
from seg.utils.checks import UserError

_MAX_BOX_SHIFT = 20.0
_DEFAULT_KINDS = {'click': 0.4, 'box': 0.2, 'mask': 0.15, 'text': 0.25}


@TRANSFORMS.register_module()
class SimulatedPrompts(BaseTransform):
    """Clicks, loose boxes, loose masks and expressions for random segments, things and stuff.

    Every row draws its kind. Rows of text go to segments with an expression, each at most once;
    where none is left, the row is of another kind. The other rows go round all segments in random
    order, so that one segment may be prompted in several ways. Crowds are not prompted; in clips a
    segment is prompted on its first visible frame.

    - click: a random pixel of the segment, or its most interior one;
    - box: the tight box, each side moved by a normal deviate (Kirillov et al., "Segment Anything",
      2023, appendix A);
    - mask: see :func:`seg.datasets.transforms.loose_masks.random_loose_mask`;
    - text: the expression of ``results['expressions']``.

    Some rows combine two: a box or a text with a click, a click with the expression where there is
    one.

    Sets ``prompts``, ``prompt_targets`` and ``prompt_kinds``. Put it after crops and flips.

    Args:
        num_prompts: Number of rows M; a sample without usable segments gets 0.
        kinds: How often each kind is drawn, by name; need not sum to 1.
        interior_prob: How likely a click is at the most interior pixel.
        box_noise: Standard deviation of the sides of boxes, relative to width and height; sides
            move by at most 20 pixels and twice the deviation.
        combine_prob: How likely a row that can combine two kinds does.
        min_area: Smallest visible area of a segment to prompt, pixels of the clip.

    Raises:
        UserError: If a kind is unknown, or a number is out of range.
    """

    def __init__(
        self,
        num_prompts: int = 12,
        kinds: Mapping[str, float] | None = None,
        interior_prob: float = 0.5,
        box_noise: float = 0.1,
        combine_prob: float = 0.15,
        min_area: int = 1,
    ) -> None:
        if num_prompts < 1:
            raise UserError(f'SimulatedPrompts.num_prompts: expected at least 1, got {num_prompts}')
        for name, value in (('interior_prob', interior_prob), ('combine_prob', combine_prob)):
            if not 0 <= value <= 1:
                raise UserError(
                    f'SimulatedPrompts.{name}: expected a probability in [0, 1], got {value}'
                )
        if not 0 <= box_noise < 0.5:
            raise UserError(
                f'SimulatedPrompts.box_noise: expected a share in [0, 0.5), got {box_noise}'
            )
        self.num_prompts = num_prompts
        self.kinds = _normalised(_DEFAULT_KINDS if kinds is None else kinds)
        self.interior_prob = interior_prob
        self.box_noise = box_noise
        self.combine_prob = combine_prob
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample."""
        require_in_step(results, 'SimulatedPrompts')
        rng = rng_of(results)
        expressions = expressions_of(results, 'SimulatedPrompts')
        segments: dict[int, VisibleSegment] = {}
        rows = []
        for target, kind in self._choose(rng, usable_segments(results, self.min_area), expressions):
            if target not in segments:
                segments[target] = VisibleSegment(results['masks'][target].numpy())
            rows.append(self._row(rng, target, kind, segments[target], expressions[target]))
        set_prompts(results, rows)
        return results

    def _choose(
        self, rng: np.random.Generator, usable: np.ndarray, expressions: list[str | None]
    ) -> list[tuple[int, str]]:
        """Target and kind of each row."""
        if not len(usable):
            return []
        named = [row for row in rng.permutation(usable).tolist() if expressions[row] is not None]
        rounds = -(-self.num_prompts // len(usable))
        others = np.concatenate([rng.permutation(usable) for _ in range(rounds)]).tolist()
        chosen = []
        for kind in _draw(rng, self.kinds, self.num_prompts):
            if kind != 'text':
                chosen.append((others.pop(), kind))
            elif named:
                chosen.append((named.pop(), kind))
            elif spoken := {name: p for name, p in self.kinds.items() if name != 'text'}:
                chosen.append((others.pop(), _draw(rng, spoken, 1)[0]))
        return chosen

    def _row(
        self,
        rng: np.random.Generator,
        target: int,
        kind: str,
        segment: VisibleSegment,
        expression: str | None,
    ) -> PromptRow:
        """Make one row."""
        row = PromptRow(target, kind, segment.frame)
        combines = rng.random() < self.combine_prob
        if kind == 'mask':
            return row._replace(mask=random_loose_mask(segment.mask, segment.box, rng))
        if kind == 'box':
            row = row._replace(box=self._loose_box(rng, segment))
        if kind == 'text' or (kind == 'click' and combines):
            row = row._replace(text=expression)
        if kind == 'click' or combines:
            is_interior = rng.random() < self.interior_prob
            point = segment.deep_point if is_interior else random_point(segment.mask, rng)
            row = row._replace(point=point)
        return row

    def _loose_box(self, rng: np.random.Generator, segment: VisibleSegment) -> Box:
        x1, y1, x2, y2 = segment.box
        height, width = segment.mask.shape
        sides = self.box_noise * np.array([x2 - x1, y2 - y1] * 2)
        most = np.minimum(2 * sides, _MAX_BOX_SHIFT)
        left, top, right, bottom = (
            segment.box + np.clip(rng.normal(size=4) * sides, -most, most)
        ).tolist()
        # At least a pixel wide and inside the image.
        left, top = min(max(left, 0.0), width - 1.0), min(max(top, 0.0), height - 1.0)
        return left, top, max(min(right, width), left + 1.0), max(min(bottom, height), top + 1.0)


def _normalised(kinds: Mapping[str, float]) -> dict[str, float]:
    """Probabilities of the kinds that are ever drawn."""
    check_kinds('SimulatedPrompts.kinds', kinds)
    total = sum(kinds.values())
    if min(kinds.values()) < 0 or not 0 < total < float('inf'):
        raise UserError(
            'SimulatedPrompts.kinds: expected frequencies >= 0, one of them positive, got '
            f'{dict(kinds)}'
        )
    return {kind: value / total for kind, value in kinds.items() if value > 0}


def _draw(rng: np.random.Generator, kinds: Mapping[str, float], num: int) -> list[str]:
    """Kinds drawn by their frequencies."""
    names = list(kinds)
    edges = np.cumsum(list(kinds.values()))
    drawn = np.searchsorted(edges, rng.random(num) * edges[-1], side='right')
    return [names[min(index, len(names) - 1)] for index in drawn.tolist()]
