"""Two models beside each other: scores, difference and interval, as rows, text and picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seg.comparison.sample_statistics import score_of
from seg.evaluation.functional.bootstrap import paired_bootstrap

BySeed = Sequence[NDArray[np.float64]]
"""Statistics (N, D) of each training seed."""


@dataclass(frozen=True)
class Comparison:
    """One score of two models on the same samples, in percent.

    Attributes:
        task: What was scored.
        score: Name of the score.
        first: Name of the first model.
        second: Name of the second model.
        samples: How many samples.
        seeds: How many training seeds of the first and of the second model.
        scores: Of the first and of the second model, means over seeds.
        by_seed: The same for each seed of the first and of the second model.
        difference: First less second, points.
        by_seed_difference: The same for each pair of seeds; empty where one model has more.
        interval: Ends of its 95 % interval over samples. What other training seeds would give is
            not in it; the differences by seed hint at that.
        verdict: ``'holds'`` where the first loses less than the margin at most, by the interval;
            ``'fails'`` where it loses more even at best; else ``'open'``.
    """

    task: str
    score: str
    first: str
    second: str
    samples: int
    seeds: tuple[int, int]
    scores: tuple[float, float]
    by_seed: tuple[tuple[float, ...], tuple[float, ...]]
    difference: float
    by_seed_difference: tuple[float, ...]
    interval: tuple[float, float]
    verdict: str


def compare(
    first: tuple[str, Mapping[str, BySeed]],
    second: tuple[str, Mapping[str, BySeed]],
    *,
    task: str,
    margin: float,
    repeats: int = 2000,
) -> list[Comparison]:
    """Compare two models by every score of the first, which the second has to have, too.

    Args:
        first: Name of a model, and name of a score to its statistics.
        second: The same of the model beside it.
        task: What was scored.
        margin: Points that the first may be behind.
        repeats: Of the bootstrap.
    """
    rows = []
    for score, values in first[1].items():
        pair = np.stack(values), np.stack(second[1][score])
        if min(of_model[..., -1].sum() for of_model in pair) == 0 and score != 'PQ':
            continue  # nothing of this kind was asked
        found = paired_bootstrap(*pair, score_of(score), repeats=repeats)
        low, high = 100 * found.low, 100 * found.high
        by_seed = _by_seed(pair[0], score), _by_seed(pair[1], score)
        paired = zip(*by_seed, strict=True) if len(pair[0]) == len(pair[1]) else ()
        rows.append(
            Comparison(
                task,
                score,
                first[0],
                second[0],
                samples=pair[0].shape[1],
                seeds=(len(pair[0]), len(pair[1])),
                scores=(100 * found.first, 100 * found.second),
                by_seed=by_seed,
                difference=100 * found.difference,
                by_seed_difference=tuple(of_first - of_second for of_first, of_second in paired),
                interval=(low, high),
                verdict=_verdict(low, high, margin),
            )
        )
    return rows


def _by_seed(statistics: NDArray[np.float64], score: str) -> tuple[float, ...]:
    """Scores of the seeds of a model, in percent, from statistics (S, N, D)."""
    return tuple((100 * score_of(score)(statistics.sum(axis=1))).tolist())


def _verdict(low: float, high: float, margin: float) -> str:
    if low >= -margin:
        return 'holds'
    return 'fails' if high < -margin else 'open'


def markdown_table(rows: Sequence[Comparison]) -> str:
    """The comparisons as a table."""
    lines = [
        '| task | score | model | its score | beside | its score | difference | by seed | 95 % | '
        'verdict |',
        '|---|---|---|---|---|---|---|---|---|---|',
    ]
    for row in rows:
        by_seed = ', '.join(f'{value:+.1f}' for value in row.by_seed_difference)
        lines.append(
            f'| {row.task} | {row.score} | {row.first} | {row.scores[0]:.1f} | {row.second} | '
            f'{row.scores[1]:.1f} | {row.difference:+.1f} | {by_seed} | '
            f'{row.interval[0]:+.1f} to {row.interval[1]:+.1f} | {row.verdict} |'
        )
    return '\n'.join(lines) + '\n'


def table_picture(rows: Sequence[Comparison], margin: float) -> bytes:
    """Differences with their intervals, those of single seeds, and the margin, as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 1.2 + 0.4 * len(rows)), dpi=110, layout='constrained')
    axes: Any = figure.subplots()
    for place, row in enumerate(reversed(rows)):
        axes.plot(row.interval, (place, place), color='tab:blue', linewidth=2)
        axes.plot(row.difference, place, 'o', color='tab:blue')
        seeds = row.by_seed_difference
        axes.plot(seeds, [place] * len(seeds), '|', color='tab:orange', markersize=10)
    axes.axvline(0, color='black', linewidth=0.8)
    axes.axvline(-margin, color='tab:red', linewidth=0.8, linestyle='--')
    labels = [f'{row.task}: {row.score}, {row.first} less {row.second}' for row in reversed(rows)]
    axes.set_yticks(range(len(rows)), labels)
    figure.supxlabel('difference (points), 95 % interval; orange: each pair of seeds', fontsize=10)
    axes.grid(alpha=0.3, axis='x')
    axes.spines[['top', 'right']].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format='png')
    return buffer.getvalue()
