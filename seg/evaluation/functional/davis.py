"""Region and contour of objects in videos, equal to the official evaluation of DAVIS 2017.

Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation",
CVPR 2016; Pont-Tuset et al., "The 2017 DAVIS Challenge", 2017; Caelles et al., "The 2019 DAVIS
Challenge", 2019. J is the IoU of a predicted and a true mask; F is the harmonic mean of precision
and recall of their outlines, where a pixel of an outline is right when the other outline passes
within a tolerance that grows with the image. Each mask is handled once, in the window around it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import cv2
import numpy as np

from seg.evaluation.functional.bit_rows import grow_by_disk, pack_rows, row_length
from seg.utils.checks import UserError

VOID = 255
"""Id of pixels that are not scored by the unsupervised protocol, and background to the other."""

TOLERANCE = 0.008
"""How far apart outlines may be, as a share of the image's diagonal."""

MAX_PROPOSALS = 20
"""Most objects that the unsupervised protocol accepts in a video."""

_RECALL_IOU = 0.5
_NUM_DECAY_BINS = 4


class ObjectScores(NamedTuple):
    """Scores of N objects in T frames.

    Attributes:
        j: IoU of the masks, (N, T), in [0, 1]; 1 where both are empty.
        f: Agreement of the outlines, (N, T), in [0, 1]; 1 where both are empty.
    """

    j: np.ndarray
    f: np.ndarray


class Statistics(NamedTuple):
    """What DAVIS reports of the scores of one object over time.

    Attributes:
        mean: Mean over the frames.
        recall: Share of the frames that score above 0.5.
        decay: Mean of the first quarter less that of the last.
    """

    mean: float
    recall: float
    decay: float


def tolerance_pixels(size: Sequence[int]) -> int:
    """How far apart outlines may be in an image of (H, W), in pixels."""
    return int(np.ceil(TOLERANCE * np.linalg.norm(size)))


def outline_of(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from their right, lower or lower right neighbour, as DAVIS takes them.

    Args:
        mask: (H, W), bool.

    Returns:
        (H, W), bool.
    """
    outline = np.zeros_like(mask)
    here = mask[:-1, :-1]
    outline[:-1, :-1] = (here != mask[:-1, 1:]) | (here != mask[1:, :-1]) | (here != mask[1:, 1:])
    outline[-1, :-1] = mask[-1, :-1] != mask[-1, 1:]
    outline[:-1, -1] = mask[:-1, -1] != mask[1:, -1]
    return outline


class _Shape:
    """One mask in the window around it.

    Args:
        mask: The whole mask, (H, W), bool.

    Attributes:
        start: (y, x) where the window begins, with a margin of one pixel if there is room.
        stop: (y, x) behind its end.
        area: Pixels of the mask.
        num_outline: Pixels of its outline.
    """

    def __init__(self, mask: np.ndarray) -> None:
        x, y, width, height = cv2.boundingRect(mask.view(np.uint8))
        self.start = max(y - 1, 0), max(x - 1, 0)
        self.stop = min(y + height + 1, mask.shape[0]), min(x + width + 1, mask.shape[1])
        self._mask = mask[self.start[0] : self.stop[0], self.start[1] : self.stop[1]]
        self._outline = outline_of(self._mask)
        self.area = int(np.count_nonzero(self._mask))
        self.num_outline = int(np.count_nonzero(self._outline))

    def compare(self, other: _Shape, radius: int) -> tuple[float, float]:
        """J and F with another mask; outlines match up to a distance, in pixels."""
        shared, hits, other_hits = self._meet(other, radius)
        union = self.area + other.area - shared
        region = shared / union if union else 1.0
        if not self.num_outline or not other.num_outline:
            return region, float(self.num_outline == other.num_outline)
        precision, recall = hits / self.num_outline, other_hits / other.num_outline
        total = precision + recall
        return region, 2 * precision * recall / total if total else 0.0

    def _meet(self, other: _Shape, radius: int) -> tuple[int, int, int]:
        """Pixels shared, and pixels of each outline that are near the other one."""
        start = np.maximum(self.start, other.start)
        stop = np.minimum(self.stop, other.stop)
        if not (self.area and other.area and (start < stop + 2 * radius).all()):
            return 0, 0, 0
        shared = 0
        if (start < stop).all():
            shared = int(np.count_nonzero(self._part(start, stop) & other._part(start, stop)))
        start, stop = start - radius, stop + radius  # no outline is near the other elsewhere
        length = row_length(int(stop[1] - start[1]), radius)
        mine, others = (one._pack(start, stop, length) for one in (self, other))
        hits = (mine & grow_by_disk(others, radius, length)).bit_count()
        return shared, hits, (others & grow_by_disk(mine, radius, length)).bit_count()

    def _part(self, start: np.ndarray, stop: np.ndarray) -> np.ndarray:
        """The mask in a window within its own."""
        (y, x), (y1, x1) = start - self.start, stop - self.start
        return self._mask[y:y1, x:x1]

    def _pack(self, start: np.ndarray, stop: np.ndarray, length: int) -> int:
        """The outline in any window of the image."""
        place = np.maximum(start, self.start)
        end = np.maximum(np.minimum(stop, self.stop), place)  # empty where they do not meet
        (y, x), (y1, x1) = place - self.start, end - self.start
        return pack_rows(self._outline[y:y1, x:x1], length, *(place - start).tolist())


def compare_masks(truth: np.ndarray, prediction: np.ndarray, radius: int) -> tuple[float, float]:
    """J and F of a predicted mask in one frame.

    Args:
        truth: (H, W), bool.
        prediction: (H, W), bool.
        radius: What :func:`tolerance_pixels` gives for their size.
    """
    return _Shape(prediction).compare(_Shape(truth), radius)


def score_objects(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], object_ids: Sequence[int]
) -> ObjectScores:
    """Scores of objects whose ids are known: semi-supervised and interactive segmentation.

    Args:
        frames: True and predicted object ids of each frame, both (H, W), integers; 255 is
            background here, as in the official evaluation.
        object_ids: The N objects.

    Raises:
        UserError: If a prediction differs in size.
    """
    rows = []
    for number, (truth, prediction) in enumerate(frames):
        _check_size(truth, prediction, number)
        radius = tolerance_pixels(truth.shape)
        rows.append([compare_masks(truth == i, prediction == i, radius) for i in object_ids])
    scores = np.array(rows, dtype=np.float64).reshape(len(rows), len(object_ids), 2)
    return ObjectScores(scores[..., 0].T, scores[..., 1].T)


def score_proposals(
    frames: Iterable[tuple[np.ndarray, np.ndarray]], object_ids: Sequence[int]
) -> ObjectScores:
    """Scores of objects that nobody pointed at: the unsupervised protocol.

    Every object is scored by the proposal that suits it in the assignment of largest total J and
    F over the video; objects without one score as if nothing were predicted. Pixels that are void
    in the ground truth count nowhere.

    Args:
        frames: True object ids, 255 for void, and ids of proposals, 1 to 20, of each frame, both
            (H, W), integers.
        object_ids: The N objects.

    Raises:
        UserError: If a prediction differs in size, or the id of a proposal is above 20.
    """
    from scipy.optimize import linear_sum_assignment

    rows = []
    for number, (truth, prediction) in enumerate(frames):
        _check_size(truth, prediction, number)
        if int(prediction.max(initial=0)) > MAX_PROPOSALS:
            raise UserError(
                f'frame {number}: expected ids of proposals from 1 to {MAX_PROPOSALS}, got '
                f'{int(prediction.max())}; keep the {MAX_PROPOSALS} best and number them anew'
            )
        known = truth != VOID
        proposals = range(1, max(MAX_PROPOSALS, len(object_ids)) + 1)
        found = [_Shape((prediction == proposal) & known) for proposal in proposals]
        wanted = [_Shape(truth == object_id) for object_id in object_ids]
        radius = tolerance_pixels(truth.shape)
        rows.append([[one.compare(shape, radius) for one in found] for shape in wanted])
    scores = np.array(rows, dtype=np.float64)  # (T, N, proposals, 2)
    chosen = linear_sum_assignment(-scores.mean(axis=(0, 3)))
    matched = scores[:, chosen[0], chosen[1]]  # (T, N, 2)
    return ObjectScores(matched[..., 0].T, matched[..., 1].T)


def _check_size(truth: np.ndarray, prediction: np.ndarray, number: int) -> None:
    if truth.shape != prediction.shape:
        raise UserError(
            f'frame {number}: expected a prediction of the size (H, W) = {truth.shape} of the '
            f'ground truth, got {prediction.shape}; predict at the original resolution'
        )


def statistics(values: np.ndarray) -> Statistics:
    """Mean, recall and decay of the scores of one object, (T,).

    Raises:
        UserError: If there is no score.
    """
    if not len(values):
        raise UserError('statistics: expected the score of at least one frame, got none')
    places = np.round(np.linspace(1, len(values), _NUM_DECAY_BINS + 1) + 1e-10).astype(int) - 1
    first, last = values[: places[1] + 1], values[places[-2] : places[-1] + 1]
    return Statistics(
        mean=float(values.mean()),
        recall=float((values > _RECALL_IOU).mean()),
        decay=float(first.mean() - last.mean()),
    )


def davis_summary(scores: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> dict[str, object]:
    """What the official evaluation reports, by its keys.

    Args:
        scores: Name of each object to its J and F per frame, both (T,).

    Returns:
        ``J&F-Mean``, and for J and F ``-Mean``, ``-Recall`` and ``-Decay``, each the mean over
        all objects; ``per_object``, the name of each object to its mean J and F. Fractions.

    Raises:
        UserError: If there is no object.
    """
    if not scores:
        raise UserError('scores: expected at least one object, got none')
    rows = {name: (statistics(j), statistics(f)) for name, (j, f) in scores.items()}
    summary: dict[str, object] = {}
    means = []
    for place, measure in enumerate('JF'):
        mean, recall, decay = np.mean([row[place] for row in rows.values()], axis=0).tolist()
        summary |= {f'{measure}-Mean': mean, f'{measure}-Recall': recall, f'{measure}-Decay': decay}
        means.append(mean)
    summary['J&F-Mean'] = sum(means) / 2
    summary['per_object'] = {name: [j.mean, f.mean] for name, (j, f) in rows.items()}
    return summary
