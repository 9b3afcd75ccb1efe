"""How sure the difference of two models is that were scored on the same samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from seg.utils.checks import UserError

Score = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From sums of statistics over samples, (R, D), to a score each, (R,)."""

_AT_ONCE = 256


@dataclass(frozen=True)
class PairedDifference:
    """Two scores and an interval of their difference.

    Attributes:
        first: Score of the first model over all samples, mean over seeds.
        second: The same of the second model.
        difference: ``first - second``.
        low: Lower end of the interval.
        high: Upper end of the interval.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float


def mean_score(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean of values, from sums (R, 2) of value and count; NaN where nothing was counted."""
    counts = sums[:, 1]
    return np.divide(sums[:, 0], counts, out=np.full(len(sums), np.nan), where=counts > 0)


def panoptic_score(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """PQ from sums (R, 4 K) of IoU, TP, FP and FN for each class, the mean over classes that occur.

    Source: Kirillov et al., "Panoptic Segmentation", CVPR 2019, equation 1.
    """
    iou, tp, fp, fn = np.moveaxis(sums.reshape(len(sums), -1, 4), -1, 0)
    sizes = tp + fp / 2 + fn / 2
    occurs = sizes > 0
    quality = np.divide(iou, sizes, out=np.zeros_like(iou), where=occurs)
    counts = occurs.sum(axis=1)
    return np.divide(quality.sum(axis=1), counts, out=np.full(len(sums), np.nan), where=counts > 0)


def paired_bootstrap(
    first: NDArray[np.float64],
    second: NDArray[np.float64],
    score: Score,
    *,
    repeats: int = 2000,
    level: float = 0.95,
    seed: int = 0,
) -> PairedDifference:
    """Compare two models by resampling the samples on which both were scored.

    A score need not be a mean over samples: it is computed anew from the sums of the samples that
    were drawn, with replacement, the same ones for both models and all training seeds. Scores of
    seeds are averaged. The interval is that of percentiles. Source: Efron and Tibshirani, "An
    Introduction to the Bootstrap", 1993, section 13.3.

    Args:
        first: What each sample adds to the sums, (N, D), or (S, N, D) for S training seeds.
        second: The same of the other model; the number of seeds may differ.
        score: From sums to scores.
        repeats: How often samples are drawn.
        level: Share of the repeats inside the interval, in (0, 1).
        seed: Of the draws.

    Raises:
        UserError: If the two were not scored on the same number of samples, or a number makes no
            sense.
    """
    pair = [_by_seed(values) for values in (first, second)]
    if pair[0].shape[1:] != pair[1].shape[1:] or not pair[0].shape[1]:
        raise UserError(
            'paired_bootstrap: expected statistics of the same samples, at least one, got '
            f'{pair[0].shape[1:]} and {pair[1].shape[1:]}'
        )
    if repeats < 1 or not 0 < level < 1:
        raise UserError(
            'paired_bootstrap: expected repeats >= 1 and a level in (0, 1), got '
            f'{repeats} and {level}'
        )
    whole = np.ones((1, pair[0].shape[1]))
    scores = [float(_scores(values, whole, score)[0]) for values in pair]
    differences = _resampled(pair, score, repeats, seed)
    tails = [(1 - level) / 2, (1 + level) / 2]
    low, high = np.nanquantile(differences, tails)
    return PairedDifference(scores[0], scores[1], scores[0] - scores[1], float(low), float(high))


def _by_seed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    values = np.asarray(values, dtype=np.float64)
    return values if values.ndim == 3 else values[None]


def _scores(
    values: NDArray[np.float64], counts: NDArray[np.float64], score: Score
) -> NDArray[np.float64]:
    """Mean over seeds of the scores of samples that count (R, N) times each, (R,)."""
    return np.mean([score(counts @ of_seed) for of_seed in values], axis=0)


def _resampled(
    pair: list[NDArray[np.float64]], score: Score, repeats: int, seed: int
) -> NDArray[np.float64]:
    """Differences of the two over repeated draws, (R,)."""
    rng = np.random.default_rng(seed)
    num = pair[0].shape[1]
    parts = []
    for begin in range(0, repeats, _AT_ONCE):
        size = min(_AT_ONCE, repeats - begin)
        counts = rng.multinomial(num, np.full(num, 1 / num), size=size).astype(np.float64)
        parts.append(_scores(pair[0], counts, score) - _scores(pair[1], counts, score))
    return np.concatenate(parts)
