"""Measures as pure functions of NumPy arrays; nothing here needs torch."""

from seg.evaluation.functional.boundary import boundary_iou, boundary_region
from seg.evaluation.functional.clicks import (
    Click,
    first_click,
    mask_iou,
    next_click,
    num_clicks_to_reach,
)
from seg.evaluation.functional.concepts import ConceptScore, concept_summary, score_concept
from seg.evaluation.functional.davis import davis_summary, score_objects, score_proposals
from seg.evaluation.functional.pq import ClassCounts, PQStat, pq_stat
from seg.evaluation.functional.stq import STQStat, stq_stat
from seg.evaluation.functional.vpq import vpq_stats, vpq_summary

__all__ = [
    'ClassCounts',
    'Click',
    'ConceptScore',
    'PQStat',
    'STQStat',
    'boundary_iou',
    'boundary_region',
    'concept_summary',
    'davis_summary',
    'first_click',
    'mask_iou',
    'next_click',
    'num_clicks_to_reach',
    'pq_stat',
    'score_concept',
    'score_objects',
    'score_proposals',
    'stq_stat',
    'vpq_stats',
    'vpq_summary',
]
