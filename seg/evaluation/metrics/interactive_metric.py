"""How well prompted objects are segmented: clicks, boxes, masks and text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric

from seg.evaluation.functional.clicks import num_clicks_to_reach
from seg.evaluation.metrics.common import image_name, percent, require, to_array
from seg.registry import METRICS
from seg.structures import PROMPT_KINDS
from seg.utils.checks import UserError, unknown_name_message

_EXHAUSTIVE_KINDS = ('click', 'box', 'mask')
_REPORTED_CLICKS = (1, 3, 5)
_NOC_THRESHOLDS = {'NoC@85': 0.85, 'NoC@90': 0.90}


@dataclass(frozen=True)
class PromptedRow:
    """What is kept of one prompted object.

    Attributes:
        kind: One of ``PROMPT_KINDS``.
        intersection: Pixels shared with the ground truth.
        union: Pixels of either, at least 1.
        click_ious: IoU after each click of a session, in [0, 1]; empty unless ``kind`` is a click.
        num_negative: Negative clicks of the session.
        num_removed: Those of them that removed at least half of the region they lay in.
    """

    kind: str
    intersection: int
    union: int
    click_ious: tuple[float, ...] = ()
    num_negative: int = 0
    num_removed: int = 0

    @property
    def iou(self) -> float:
        """IoU of the final mask, in [0, 1]."""
        return self.intersection / self.union


@METRICS.register_module()
class InteractiveMetric(BaseMetric):
    """IoU of prompted objects over all segments, things and stuff, at original resolution.

    Reads ``gt_segments`` and ``pred_prompted``: ``object_ids`` (N,), ``masks`` (N, M, T, H, W),
    best first, of which the first counts, and optional fields:

    - ``prompt_kind``: N strings of ``PROMPT_KINDS``; every row is one click when left out.
    - ``click_ious``: IoU after click 1..C of a simulated session, (N, C), in [0, 1]; NaN after the
      end of a session, whose last value stands from there on. Read in rows of kind ``'click'``;
      when left out, their only click is the one that gave ``masks``.
    - ``num_negative`` and ``num_removed``: negative clicks of each session, and how many of them
      took their pixel out of the mask, (N,), int64; both or none.

    Every segment except crowds and empty ones needs a row of each kind among click, box and mask
    that the sample has; text rows may cover some segments only. A clip is one volume.

    Reports in percent ``mIoU@1``, ``mIoU@3``, ``mIoU@5`` (as far as sessions go), ``box_mIoU``,
    ``mask_mIoU``, ``text_gIoU`` (mean IoU), ``text_cIoU`` (summed intersections over summed
    unions), ``neg_removed`` (share of negative clicks that removed at least half of the region
    they hit, when there were any), and as a count of clicks ``NoC@85``, ``NoC@90`` when sessions
    have ``max_clicks``.

    Args:
        max_clicks: Length of a full session; what one counts that never reaches the threshold.
        collect_device: See ``BaseMetric``.
        prefix: See ``BaseMetric``.
        collect_dir: See ``BaseMetric``.
    """

    default_prefix = 'interactive'

    def __init__(
        self,
        max_clicks: int = 20,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        if max_clicks < 1:
            raise ValueError(f'max_clicks: expected 1 or more, got {max_clicks}')
        self.max_clicks = max_clicks

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Measure each clip; keeps exactly one record per clip.

        Raises:
            ValueError: If predictions or the ground truth are missing, an object is unknown or
                left out, or shapes, kinds or values are not as documented.
        """
        for sample in data_samples:
            rows = _measure(sample)
            self.results.append({'img_id': sample['img_id'], 'rows': rows})

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average over the rows of all images.

        Raises:
            ValueError: If there is no row at all, or sessions differ in length.
        """
        by_kind: dict[str, list[PromptedRow]] = {kind: [] for kind in PROMPT_KINDS}
        for record in results:
            for row in record['rows']:
                by_kind[row.kind].append(row)
        if not any(by_kind.values()):
            raise UserError(
                f'InteractiveMetric: expected segments to prompt, got none in {len(results)} '
                'images; check the annotations'
            )
        metrics = self._click_metrics([row.click_ious for row in by_kind['click']])
        if num_negative := sum(row.num_negative for row in by_kind['click']):
            num_removed = sum(row.num_removed for row in by_kind['click'])
            metrics['neg_removed'] = percent(num_removed / num_negative)
        for kind in ('box', 'mask'):
            if rows := by_kind[kind]:
                metrics[f'{kind}_mIoU'] = percent(np.mean([row.iou for row in rows]))
        if rows := by_kind['text']:
            metrics['text_gIoU'] = percent(np.mean([row.iou for row in rows]))
            intersections = sum(row.intersection for row in rows)
            metrics['text_cIoU'] = percent(intersections / sum(row.union for row in rows))
        return metrics

    def _click_metrics(self, sessions: list[tuple[float, ...]]) -> dict[str, float]:
        if not sessions:
            return {}
        lengths = {len(ious) for ious in sessions}
        if len(lengths) > 1:
            raise UserError(
                'click_ious: expected sessions of one length in all samples, got '
                f'{sorted(lengths)}; fill sessions that end early with NaN'
            )
        num_clicks = lengths.pop()
        metrics = {
            f'mIoU@{k}': percent(np.mean([ious[k - 1] for ious in sessions]))
            for k in _REPORTED_CLICKS
            if k <= num_clicks
        }
        if num_clicks >= self.max_clicks:
            for name, threshold in _NOC_THRESHOLDS.items():
                counts = [num_clicks_to_reach(s, threshold, self.max_clicks) for s in sessions]
                metrics[name] = float(np.mean(counts))
        return metrics


def _measure(sample: Mapping[str, Any]) -> list[PromptedRow]:
    """Rows of one sample, without those of crowds and empty segments."""
    where = image_name(sample)
    truth = _wanted_masks(require(sample, 'gt_segments', where), where)
    prediction = require(sample, 'pred_prompted', where)
    object_ids = to_array(require(prediction, 'object_ids', where)).tolist()
    kinds = _kinds(prediction.get('prompt_kind'), len(object_ids), where)
    _check_coverage(object_ids, kinds, truth, where)
    all_masks = require(prediction, 'masks', where)
    if all_masks.ndim != 5 or len(all_masks) != len(object_ids) or not all_masks.shape[1]:
        raise UserError(
            f'{where}: pred_prompted.masks: expected shape (N, M, T, H, W) with N = '
            f'{len(object_ids)} and M >= 1, got {tuple(all_masks.shape)}'
        )
    masks = to_array(all_masks[:, 0])
    sessions = _sessions(prediction.get('click_ious'), kinds, where)
    negative, removed = _negative_clicks(prediction, len(object_ids), where)
    rows = []
    for i, (object_id, kind) in enumerate(zip(object_ids, kinds, strict=True)):
        if (target := truth[object_id]) is None:
            continue
        row = _compare(kind, masks[i], target, where)
        if kind == 'click':
            row = replace(
                row,
                click_ious=sessions[i] or (row.iou,),
                num_negative=negative[i],
                num_removed=removed[i],
            )
        rows.append(row)
    return rows


def _wanted_masks(segments: Mapping[str, Any], where: str) -> dict[int, np.ndarray | None]:
    """Object id to its mask (T, H, W); ``None`` for crowds and empty segments."""
    masks = to_array(require(segments, 'masks', where))
    object_ids = to_array(require(segments, 'object_ids', where)).tolist()
    is_crowd = to_array(require(segments, 'is_crowd', where)).tolist()
    if len(set(object_ids)) != len(object_ids):
        raise UserError(f'{where}: gt_segments.object_ids: expected distinct ids, got {object_ids}')
    return {
        object_id: None if crowd or not mask.any() else mask
        for object_id, mask, crowd in zip(object_ids, masks, is_crowd, strict=True)
    }


def _kinds(given: Sequence[str] | None, num: int, where: str) -> list[str]:
    if given is None:
        return ['click'] * num
    if len(given) != num:
        raise UserError(
            f'{where}: pred_prompted.prompt_kind: expected {num} kinds, one per object, '
            f'got {len(given)}'
        )
    for kind in given:
        if kind not in PROMPT_KINDS:
            raise UserError(f'{where}: {unknown_name_message("prompt kind", kind, PROMPT_KINDS)}')
    return list(given)


def _check_coverage(
    object_ids: list[int],
    kinds: list[str],
    truth: Mapping[int, np.ndarray | None],
    where: str,
) -> None:
    """Refuse rows about nothing, and segments that nothing was predicted for."""
    if unknown := sorted(set(object_ids) - set(truth)):
        raise UserError(
            f'{where}: pred_prompted.object_ids: {unknown[:5]} are not among those of gt_segments'
        )
    wanted = {object_id for object_id, mask in truth.items() if mask is not None}
    pairs = set(zip(kinds, object_ids, strict=True))
    present = [kind for kind in _EXHAUSTIVE_KINDS if kind in kinds] or ([] if kinds else ['click'])
    for kind in present:
        if missing := sorted(i for i in wanted if (kind, i) not in pairs):
            raise UserError(
                f'{where}: expected a {kind} prediction for every segment, got none for objects '
                f'{missing[:5]}; prompt all segments of the ground truth'
            )


def _sessions(given: Any, kinds: list[str], where: str) -> list[tuple[float, ...]]:
    """IoU after each click, per row; empty for rows that have no session."""
    if given is None:
        return [()] * len(kinds)
    ious = np.array(to_array(given), dtype=np.float64)
    if ious.ndim != 2 or len(ious) != len(kinds) or ious.shape[1] < 1:
        raise UserError(
            f'{where}: pred_prompted.click_ious: expected shape (N, C) with N = {len(kinds)} and '
            f'C >= 1, got {ious.shape}'
        )
    is_click = np.array([kind == 'click' for kind in kinds], dtype=bool)
    clicks = ious[is_click]
    if np.isnan(clicks[:, 0]).any() or (clicks < 0).any() or (clicks > 1).any():
        raise UserError(
            f'{where}: pred_prompted.click_ious: expected fractions in [0, 1] that start with a '
            'number, NaN only after the end of a session'
        )
    for column in range(1, ious.shape[1]):
        ended = np.isnan(ious[:, column])
        ious[ended, column] = ious[ended, column - 1]
    return [tuple(row) if c else () for row, c in zip(ious.tolist(), is_click, strict=True)]


def _negative_clicks(
    prediction: Mapping[str, Any], num: int, where: str
) -> tuple[list[int], list[int]]:
    """Negative clicks of each row, and those that removed what they hit."""
    negative, removed = prediction.get('num_negative'), prediction.get('num_removed')
    if negative is None and removed is None:
        return [0] * num, [0] * num
    made, hit = (to_array([] if x is None else x) for x in (negative, removed))
    if made.shape != (num,) or hit.shape != (num,) or (hit < 0).any() or (hit > made).any():
        raise UserError(
            f'{where}: pred_prompted: expected {num} counts 0 <= num_removed <= num_negative, got '
            f'num_removed {hit.tolist()} and num_negative {made.tolist()}'
        )
    return made.tolist(), hit.tolist()


def _compare(kind: str, mask: np.ndarray, target: np.ndarray, where: str) -> PromptedRow:
    if mask.dtype != np.bool_ or mask.shape != target.shape:
        raise UserError(
            f'{where}: pred_prompted.masks: expected bool masks of the original size (T, H, W) = '
            f'{target.shape}, got {mask.dtype} {mask.shape}; resize predictions to ori_shape'
        )
    intersection, union = np.count_nonzero(mask & target), np.count_nonzero(mask | target)
    return PromptedRow(kind, int(intersection), int(union))
