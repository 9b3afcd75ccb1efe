"""How often objects keep their ids, through the evaluator of MMEngine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from seg.evaluation.functional.identity import (
    AT_FIRST_SIGHT,
    CASE_KINDS,
    ONCE_FREE,
    IdentityCase,
    keeps_identity,
)
from seg.evaluation.metrics.clip_metric import ClipMetric
from seg.evaluation.metrics.common import percent, require, to_array
from seg.registry import METRICS
from seg.structures import TrackData
from seg.utils.checks import UserError

Counts = tuple[Counter[str], Counter[str]]
"""Cases by kind, and those of them in which the id was kept."""


@METRICS.register_module()
class IdentityMetric(ClipMetric):
    """Share of crossings and full occlusions after which an object is found under its own id.

    Reads ``pred_tracks``, ``gt_segments`` and the metainfo ``identity_cases``, see
    :mod:`seg.evaluation.functional.identity`. Clips without cases may be among the others.

    Reports in percent, NaN where there is no case: ``survival`` of crossings and occlusions, judged
    when things are free again; ``survival_first_sight`` of crossings and reappearances, which is
    the same but for occlusions being judged by the first slivers that show; and
    ``survival_crossing``, ``survival_occlusion`` and ``survival_reappearance``. ``num_cases`` and
    ``num_reappearances`` count crossings and occlusions, and reappearances.

    Args:
        prefix: See ``BaseMetric``.
    """

    default_prefix = 'identity'

    def record(self, sample: Mapping[str, Any], where: str) -> Counts:
        """Cases of one clip."""
        tracks: TrackData = require(sample, 'pred_tracks', where)
        segments = require(sample, 'gt_segments', where)
        masks = to_array(require(segments, 'masks', where))
        object_ids = to_array(require(segments, 'object_ids', where)).tolist()
        cases: Sequence[IdentityCase] = require(sample, 'identity_cases', where)
        pred_maps = to_array(tracks.id_maps)
        seen: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        for case in cases:
            for name, ids in (('gt_segments', object_ids), ('pred_tracks', tracks.object_ids)):
                if case.object_id not in ids:
                    raise UserError(
                        f'{where}: {name}.object_ids: expected the objects of all cases, got '
                        f'{tuple(ids)} without {case.object_id}; follow every object of frame 0'
                    )
            seen[case.kind] += 1
            kept[case.kind] += keeps_identity(
                case, masks[object_ids.index(case.object_id)], pred_maps
            )
        return seen, kept

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add the cases of all clips up."""
        seen: Counter[str] = Counter()
        kept: Counter[str] = Counter()
        for more_seen, more_kept in results:
            seen += more_seen
            kept += more_kept

        def share(kinds: Sequence[str]) -> float:
            total = sum(seen[kind] for kind in kinds)
            return percent(sum(kept[kind] for kind in kinds) / total) if total else float('nan')

        return {
            'survival': share(ONCE_FREE),
            'survival_first_sight': share(AT_FIRST_SIGHT),
            **{f'survival_{kind}': share([kind]) for kind in CASE_KINDS},
            'num_cases': float(sum(seen[kind] for kind in ONCE_FREE)),
            'num_reappearances': float(seen['reappearance']),
        }
