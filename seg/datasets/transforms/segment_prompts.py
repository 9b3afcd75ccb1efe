"""Boxes and points made from ground truth, for training and evaluating promptable models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from mmcv.transforms import BaseTransform

from seg.datasets.transforms.prompt_rows import VisibleSegment
from seg.datasets.transforms.prompts import random_point, usable_segments
from seg.datasets.transforms.results import Results, largest_areas, require_in_step, rng_of
from seg.evaluation.functional import first_click
from seg.registry import TRANSFORMS
from seg.structures import PointLabel, Prompts
from seg.utils.checks import UserError, unknown_name_message

PROMPT_MODES = ('box', 'point', 'both')
"""What one row of prompts may hold: a box, points, or both."""

Point = tuple[float, float, int]  # x, y, label


class SegmentPrompt(NamedTuple):
    """What is said about one segment.

    Attributes:
        points: (x, y, label) each, pixels.
        box: xyxy, pixels, or ``None``.
    """

    points: list[Point]
    box: np.ndarray | None


def jitter_box(
    box: np.ndarray,
    size: Sequence[int],
    amount: float,
    max_shift: float,
    rng: np.random.Generator,
) -> np.ndarray:
    """Move each side of a box at random, inwards as well as outwards, within the image.

    Args:
        box: xyxy, pixels, (4,).
        size: (H, W) of the image.
        amount: Largest shift as a share of the box's width or height, below one half.
        max_shift: Largest shift, pixels.
        rng: Where the randomness comes from.

    Returns:
        xyxy, pixels, at least one pixel wide and high, (4,).
    """
    width, height = box[2] - box[0], box[3] - box[1]
    reach = np.minimum(amount * np.array([width, height, width, height]), max_shift)
    moved = box + rng.uniform(-1.0, 1.0, 4) * reach
    limit = np.array([size[1], size[0]])
    low = np.clip(moved[:2], 0, limit - 1)
    high = np.clip(moved[2:], low + 1, limit)
    return np.concatenate([low, high]).astype(np.float32)


def far_apart_points(mask: np.ndarray, count: int) -> list[tuple[float, float]]:
    """The most interior pixel of a mask, then those farthest from all before; deterministic.

    Args:
        mask: (H, W), bool, with at least one pixel set.
        count: Number of points; fewer pixels repeat the last one.

    Returns:
        Centres (x, y) of the pixels.
    """
    first = first_click(mask)
    rows, columns = np.nonzero(mask)
    places = np.stack([columns + 0.5, rows + 0.5], axis=1)
    chosen = [(first.x, first.y)]
    distance = np.square(places - chosen[0]).sum(axis=1)
    while len(chosen) < count:
        x, y = places[int(distance.argmax())].tolist()
        chosen.append((x, y))
        distance = np.minimum(distance, np.square(places - (x, y)).sum(axis=1))
    return chosen


class SegmentPrompts(BaseTransform):
    """Base of the steps that prompt segments.

    Sets ``prompts``, a row for each prompted segment, and ``prompt_targets``. Crowds and segments
    below ``min_area`` are never prompted; a sample without others gets no prompt. Images only.

    Args:
        mode: ``'box'``, ``'point'``, ``'both'``, or ``'mixed'`` for one of them per row.
        num_points: Foreground points of a row that has points.
        max_prompts: Largest number of rows; ``None`` for all segments.
        min_area: Smallest area of a segment to prompt, pixels.
    """

    def __init__(
        self,
        mode: str = 'box',
        num_points: int = 3,
        max_prompts: int | None = None,
        min_area: int = 1,
    ) -> None:
        name = type(self).__name__
        if mode not in (*PROMPT_MODES, 'mixed'):
            known = (*PROMPT_MODES, 'mixed')
            raise UserError(unknown_name_message(f'{name}.mode', str(mode), known))
        if num_points < 1 or (max_prompts is not None and max_prompts < 1):
            raise UserError(
                f'{name}: expected num_points and max_prompts of at least 1, got {num_points} and '
                f'{max_prompts}'
            )
        self.mode = mode
        self.num_points = num_points
        self.max_prompts = max_prompts
        self.min_area = min_area

    def transform(self, results: Results) -> Results:
        """Add prompts to one sample.

        Raises:
            UserError: If it is a clip of several frames.
        """
        require_in_step(results, type(self).__name__)
        if len(results['clip']) != 1:
            raise UserError(
                f'{type(self).__name__}: expected images (clips of one frame), got a clip of '
                f'{len(results["clip"])} frames; use RandomClickPrompts for clips'
            )
        targets = self.choose(results, usable_segments(results, self.min_area))
        rows = [
            self.prompt(VisibleSegment(results['masks'][row].numpy()), place, results)
            for place, row in enumerate(targets.tolist())
        ]
        index = torch.as_tensor(targets, dtype=torch.long)
        results['prompts'] = _pack(rows, results['object_ids'][index])
        results['prompt_targets'] = index
        return results

    @abstractmethod
    def choose(self, results: Results, usable: np.ndarray) -> np.ndarray:
        """The segments to prompt, at most ``max_prompts`` of the usable ones."""

    @abstractmethod
    def prompt(self, segment: VisibleSegment, place: int, results: Results) -> SegmentPrompt:
        """The prompt of one segment.

        Args:
            segment: What is prompted.
            place: Which of the sample's prompts it is.
            results: The sample.
        """


@TRANSFORMS.register_module()
class RandomSegmentPrompts(SegmentPrompts):
    """Random boxes and points of random segments, for training; use it after all changes of image.

    Args:
        mode: ``'box'``, ``'point'``, ``'both'``, or ``'mixed'`` for one of them per row.
        num_points: Foreground points of a row that has points; in rows of a mixture from one to
            this many, so that single clicks occur.
        num_background: Points beside the object, within twice its box, in rows with points.
        max_prompts: Largest number of rows; the segments are a random choice.
        min_area: Smallest area of a segment to prompt, pixels.
        box_jitter: Largest shift of each side of a box as a share of its width or height.
        max_shift: Largest shift of each side of a box, pixels.
        mode_probs: Probability of each mode in a mixture; equal by default.
    """

    def __init__(
        self,
        mode: str = 'box',
        num_points: int = 3,
        *,
        num_background: int = 0,
        max_prompts: int | None = 8,
        min_area: int = 1,
        box_jitter: float = 0.1,
        max_shift: float = 20.0,
        mode_probs: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(mode, num_points, max_prompts, min_area)
        if not 0 <= box_jitter < 0.5 or max_shift < 0 or num_background < 0:
            raise UserError(
                'RandomSegmentPrompts: expected 0 <= box_jitter < 0.5, max_shift >= 0 and '
                f'num_background >= 0, got {box_jitter}, {max_shift} and {num_background}'
            )
        self.num_background = num_background
        self.box_jitter = box_jitter
        self.max_shift = max_shift
        self.mode_probs = _checked_probs(mode_probs)

    def choose(self, results: Results, usable: np.ndarray) -> np.ndarray:
        """Random segments."""
        return rng_of(results).permutation(usable)[: self.max_prompts]

    def prompt(self, segment: VisibleSegment, place: int, results: Results) -> SegmentPrompt:
        """A box that is off by some pixels, or random points."""
        rng, mode, count = rng_of(results), self.mode, self.num_points
        if mode == 'mixed':
            mode = PROMPT_MODES[int(rng.choice(len(PROMPT_MODES), p=self.mode_probs))]
            count = int(rng.integers(1, count + 1))
        mask, tight = segment.mask, np.array(segment.box, dtype=np.float32)
        points: list[Point] = []
        if mode != 'box':
            points = [(*random_point(mask, rng), int(PointLabel.FOREGROUND)) for _ in range(count)]
            points += self._background(mask, tight, rng)
        box = None
        if mode != 'point':
            box = jitter_box(tight, mask.shape, self.box_jitter, self.max_shift, rng)
        return SegmentPrompt(points, box)

    def _background(
        self, mask: np.ndarray, box: np.ndarray, rng: np.random.Generator
    ) -> list[Point]:
        margin = (box[2:] - box[:2]) / 2
        x0, y0 = np.maximum(box[:2] - margin, 0).astype(int)
        x1, y1 = np.ceil(box[2:] + margin).astype(int)
        around = ~mask[y0:y1, x0:x1]
        if not around.any():
            return []
        drawn = [random_point(around, rng) for _ in range(self.num_background)]
        return [(x + float(x0), y + float(y0), int(PointLabel.BACKGROUND)) for x, y in drawn]


@TRANSFORMS.register_module()
class FixedSegmentPrompts(SegmentPrompts):
    """Tight boxes and points far apart, the same every time, for evaluation.

    Use it before ``TestResize``, so that it sees the masks at original resolution. In a mixture the
    segments take turns in the order of :data:`PROMPT_MODES`. With ``max_prompts`` the largest
    segments are prompted.
    """

    def choose(self, results: Results, usable: np.ndarray) -> np.ndarray:
        """The largest segments, in their order."""
        if self.max_prompts is None or len(usable) <= self.max_prompts:
            return usable
        areas = largest_areas(results['masks']).numpy()[usable]
        largest = np.argsort(-areas, kind='stable')[: self.max_prompts]
        return usable[np.sort(largest)]

    def prompt(self, segment: VisibleSegment, place: int, results: Results) -> SegmentPrompt:
        """The tight box, or points far apart."""
        mode = PROMPT_MODES[place % len(PROMPT_MODES)] if self.mode == 'mixed' else self.mode
        points: list[Point] = []
        if mode != 'box':
            found = far_apart_points(segment.mask, self.num_points)
            points = [(x, y, int(PointLabel.FOREGROUND)) for x, y in found]
        box = None if mode == 'point' else np.array(segment.box, dtype=np.float32)
        return SegmentPrompt(points, box)


def _checked_probs(given: Mapping[str, float] | None) -> list[float]:
    """A probability for each of :data:`PROMPT_MODES`."""
    if given is None:
        return [1 / len(PROMPT_MODES)] * len(PROMPT_MODES)
    for name in given:
        if name not in PROMPT_MODES:
            where = 'mode in RandomSegmentPrompts.mode_probs'
            raise UserError(unknown_name_message(where, name, PROMPT_MODES))
    values = [float(given.get(name, 0)) for name in PROMPT_MODES]
    if min(values) < 0 or abs(sum(values) - 1) > 1e-6:
        raise UserError(
            f'RandomSegmentPrompts.mode_probs: expected probabilities that sum to 1, got '
            f'{dict(given)}'
        )
    return values


def _pack(rows: list[SegmentPrompt], object_ids: torch.Tensor) -> Prompts:
    """Prompts whose rows are padded to the same number of points."""
    most = max((len(row.points) for row in rows), default=0)
    padding = (0.0, 0.0, int(PointLabel.PADDING))
    padded = [row.points + [padding] * (most - len(row.points)) for row in rows]
    values = torch.tensor(padded, dtype=torch.float32).reshape(len(rows), most, 3)
    empty = np.full(4, np.nan, dtype=np.float32)
    boxes = [empty if row.box is None else row.box for row in rows]
    return Prompts.create(
        points=values[..., :2],
        point_labels=values[..., 2].long(),
        boxes=torch.from_numpy(np.array(boxes, dtype=np.float32).reshape(-1, 4)),
        object_ids=object_ids,
    )
