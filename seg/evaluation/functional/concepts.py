"""Agreement of all instances of a phrase with the truth, and of whether there are any: cgF1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

CONCEPT_THRESHOLDS = tuple(np.linspace(0.5, 0.95, 10).round(2).tolist())
"""IoU from which a pair counts; results are averaged over them."""


@dataclass(frozen=True)
class ConceptScore:
    """One phrase on one image.

    Attributes:
        num_wanted: Instances in the truth.
        num_found: Predicted instances.
        true_positives: Pairs that count, at each of the thresholds.
    """

    num_wanted: int
    num_found: int
    true_positives: tuple[int, ...]


def score_concept(found: np.ndarray, wanted: np.ndarray) -> ConceptScore:
    """Match predicted and true masks one to one so that their IoUs sum to the most.

    Args:
        found: (N, ...), bool.
        wanted: (M, ...), bool.
    """
    counts = (0,) * len(CONCEPT_THRESHOLDS)
    if len(found) and len(wanted):
        first = found.reshape(len(found), -1).astype(np.float32)
        second = wanted.reshape(len(wanted), -1).astype(np.float32)
        overlap = first @ second.T
        union = first.sum(axis=1)[:, None] + second.sum(axis=1)[None] - overlap
        iou = overlap / np.maximum(union, 1)
        pairs = iou[linear_sum_assignment(-iou)]
        counts = tuple(int((pairs >= threshold).sum()) for threshold in CONCEPT_THRESHOLDS)
    return ConceptScore(len(wanted), len(found), counts)


def concept_summary(scores: Sequence[ConceptScore]) -> dict[str, float]:
    """``cgF1`` and its factors over a data set.

    Source: Carion et al., "SAM 3", 2025, section on SA-Co metrics. ``pmF1`` is the F1 of instances,
    with counts summed over all phrases that their image has, averaged over the thresholds;
    ``IL_MCC`` is Matthews' correlation of "something was found" with "there is something" over all
    phrases, 0 where it is undefined; ``cgF1`` is their product.

    Returns:
        ``cgF1`` and ``IL_MCC`` in [-1, 1], ``pmF1`` in [0, 1].
    """
    present = [score for score in scores if score.num_wanted]
    positives = np.array([score.true_positives for score in present], dtype=np.float64)
    total = sum(score.num_wanted + score.num_found for score in present)
    f1 = float((2 * positives.sum(axis=0) / total).mean()) if present else 0.0
    wanted = np.array([score.num_wanted > 0 for score in scores])
    found = np.array([score.num_found > 0 for score in scores])
    mcc = _matthews(wanted, found)
    return {'cgF1': f1 * mcc, 'pmF1': f1, 'IL_MCC': mcc}


def _matthews(wanted: np.ndarray, found: np.ndarray) -> float:
    both, neither = float((wanted & found).sum()), float((~wanted & ~found).sum())
    invented, missed = float((~wanted & found).sum()), float((wanted & ~found).sum())
    sides = (both + invented, both + missed, neither + invented, neither + missed)
    if not min(sides):
        return 0.0
    return (both * neither - invented * missed) / float(np.sqrt(np.prod(sides)))
