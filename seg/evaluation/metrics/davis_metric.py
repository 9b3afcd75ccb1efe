"""J and F of objects in clips, through the evaluator of MMEngine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from seg.evaluation.functional.davis import (
    MAX_PROPOSALS,
    VOID,
    compare_masks,
    davis_summary,
    score_proposals,
    tolerance_pixels,
)
from seg.evaluation.metrics.clip_metric import ClipMetric, annotated_frames
from seg.evaluation.metrics.common import percent, require, to_array
from seg.registry import METRICS
from seg.structures import Prompts, TrackData
from seg.utils.checks import UserError, unknown_name_message

PROTOCOLS = ('semi-supervised', 'unsupervised')

Scores = dict[str, tuple[np.ndarray, np.ndarray]]
"""Name of an object to its J and F per frame."""


@METRICS.register_module()
class DavisMetric(ClipMetric):
    """J and F of ``pred_tracks`` against ``gt_segments``, as DAVIS 2017 takes them.

    For the tasks ``vos`` and ``interactive_video`` every object is scored under its own id, so a
    swap of two ids costs both. Objects are those that the sample's ``prompts`` name, or all but
    crowds where it has none. An object is scored from the frame after the one in which it is
    first prompted (without prompts: first seen) to the one before the last of the clip, as the
    official evaluation leaves out the last frame, too. Objects of the first frame score as by the
    official toolkit, which has no others. Only annotated frames count.

    Reports ``J&F``, ``J``, ``F``, ``J_recall``, ``F_recall``, ``J_decay``, ``F_decay`` in percent,
    means over the objects of all clips.

    Args:
        protocol: ``'semi-supervised'``, or ``'unsupervised'`` for objects that nobody pointed at:
            their ids may be any, all frames count, objects are those of the first frame, and at
            most 20 may be predicted.
        skip_ends: Whether the first and the last frame are left out, in the first protocol.
        prefix: See ``BaseMetric``.
    """

    default_prefix = 'davis'

    def __init__(
        self,
        protocol: str = 'semi-supervised',
        skip_ends: bool = True,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix)
        if protocol not in PROTOCOLS:
            raise UserError(unknown_name_message('protocol', protocol, PROTOCOLS))
        self.protocol = protocol
        self.skip_ends = skip_ends

    def record(self, sample: Mapping[str, Any], where: str) -> Scores:
        """Scores of the objects of one clip."""
        segments = require(sample, 'gt_segments', where)
        masks = to_array(require(segments, 'masks', where))
        tracks = require(sample, 'pred_tracks', where)
        _check_tracks(tracks, masks.shape[1:], where)
        objects = to_array(require(segments, 'object_ids', where)).tolist()
        crowds = to_array(require(segments, 'is_crowd', where)).astype(bool)
        frames = annotated_frames(sample, masks.shape[1])
        if self.protocol == 'unsupervised':
            scores = _score_proposals(masks, objects, crowds, tracks, frames, where)
        else:
            begins = _begins(sample.get('prompts'), masks, objects, crowds, frames, where)
            scores = self._score_objects(masks, objects, begins, tracks, frames, where)
        return {f'{sample["img_id"]}_{object_id}': pair for object_id, pair in scores.items()}

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Average over the objects of all clips."""
        scores: Scores = {}
        for number, record in enumerate(results):  # two data sets may name clips alike
            scores |= {f'{number}_{name}': pair for name, pair in record.items()}
        summary: dict[str, Any] = davis_summary(scores)
        named = {'J&F': summary['J&F-Mean'], 'J': summary['J-Mean'], 'F': summary['F-Mean']}
        for measure in 'JF':
            for name in ('Recall', 'Decay'):
                named[f'{measure}_{name.lower()}'] = summary[f'{measure}-{name}']
        return {name: percent(value) for name, value in named.items()}

    def _score_objects(
        self,
        masks: np.ndarray,
        objects: list[int],
        begins: Mapping[int, int],
        tracks: TrackData,
        frames: list[int],
        where: str,
    ) -> dict[int, tuple[np.ndarray, np.ndarray]]:
        pred_maps, scores = to_array(tracks.id_maps), {}
        radius = tolerance_pixels(masks.shape[2:])
        for object_id, begin in begins.items():
            scored = [frame for frame in frames if frame >= begin]
            if self.skip_ends:
                scored = [frame for frame in scored if begin < frame < frames[-1]]
            if not scored:
                continue
            if object_id not in tracks.object_ids:
                raise UserError(
                    f'{where}: pred_tracks.object_ids: expected every object that is scored, got '
                    f'{tracks.object_ids} without {object_id}; follow it under its own id from '
                    f'frame {begin}'
                )
            truth = masks[objects.index(object_id)]
            pairs = [
                compare_masks(truth[frame], pred_maps[frame] == object_id, radius)
                for frame in scored
            ]
            j, f = np.array(pairs).T
            scores[object_id] = j, f
        return scores


def _begins(
    prompts: Prompts | None,
    masks: np.ndarray,
    objects: list[int],
    crowds: np.ndarray,
    frames: list[int],
    where: str,
) -> dict[int, int]:
    """Objects to score, and the frame in which each is given."""
    if prompts is None:
        seen = masks[:, frames].any(axis=(2, 3)) & ~crowds[:, None]
        rows = np.flatnonzero(seen.any(axis=1)).tolist()
        return {objects[row]: frames[int(seen[row].argmax())] for row in rows}
    begins: dict[int, int] = {}
    ids, first = prompts.object_ids.tolist(), prompts.frame_index.tolist()
    for object_id, frame in zip(ids, first, strict=True):
        begins[object_id] = min(frame, begins.get(object_id, frame))
    if unknown := sorted(set(begins) - set(objects)):
        raise UserError(
            f'{where}: prompts.object_ids: expected objects of gt_segments {objects}, got {unknown}'
        )
    return begins


def _score_proposals(
    masks: np.ndarray,
    objects: list[int],
    crowds: np.ndarray,
    tracks: TrackData,
    frames: list[int],
    where: str,
) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    if len(tracks.object_ids) > MAX_PROPOSALS:
        raise UserError(
            f'{where}: pred_tracks: expected at most {MAX_PROPOSALS} objects, got '
            f'{len(tracks.object_ids)}; keep the best'
        )
    rows = np.flatnonzero(masks[:, frames[0]].any(axis=(1, 2)) & ~crowds).tolist()
    if not rows:
        return {}
    pred_maps = to_array(tracks.id_maps)
    pairs = []
    for frame in frames:
        truth, prediction = np.zeros((2, *masks.shape[2:]), dtype=np.uint8)
        for row in np.flatnonzero(crowds).tolist():
            truth[masks[row, frame]] = VOID
        for number, row in enumerate(rows, 1):
            truth[masks[row, frame]] = number
        for number, object_id in enumerate(tracks.object_ids, 1):
            prediction[pred_maps[frame] == object_id] = number
        pairs.append((truth, prediction))
    found = score_proposals(pairs, range(1, len(rows) + 1))
    return {objects[row]: (found.j[i], found.f[i]) for i, row in enumerate(rows)}


def _check_tracks(tracks: TrackData, shape: tuple[int, ...], where: str) -> None:
    if tuple(tracks.id_maps.shape) != shape:
        raise UserError(
            f'{where}: pred_tracks.id_maps: expected (T, H, W) = {shape} as the ground truth, got '
            f'{tuple(tracks.id_maps.shape)}; predict every frame at ori_shape'
        )
