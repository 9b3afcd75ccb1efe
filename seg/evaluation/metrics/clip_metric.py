"""What the metrics of clips share: gathering records, reading panoptic clips."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from mmengine.dist import all_gather_object
from mmengine.evaluator import BaseMetric

from seg.evaluation.metrics.common import image_name, paint_segments, require, to_array
from seg.structures import PanopticData
from seg.utils.checks import UserError


class ClipMetric(BaseMetric):
    """Base of metrics that keep one record per clip.

    Records of all ranks are gathered whole, however unevenly clips were shared out, and a clip
    that several ranks saw, because the sampler filled up the last round, counts once. A clip is
    told by ``dataset_name`` and ``img_id``.

    Args:
        prefix: See ``BaseMetric``.
    """

    def __init__(self, prefix: str | None = None) -> None:
        super().__init__(prefix=prefix)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Score clips; keeps exactly one record of each.

        Raises:
            ValueError: If a prediction or the ground truth is missing or does not fit.
        """
        for sample in data_samples:
            key = (sample.get('dataset_name'), require(sample, 'img_id', 'sample'))
            self.results.append((key, self.record(sample, clip_name(sample))))

    @abstractmethod
    def record(self, sample: Mapping[str, Any], where: str) -> Any:
        """What is kept of one clip; it can be pickled.

        Args:
            sample: Prediction and ground truth, ``ClipSample.to_dict()``.
            where: How errors name the clip.
        """

    def evaluate(self, size: int) -> dict[str, float]:
        """Gather and average, the same on every rank.

        Args:
            size: Length of the data set; records are not cut to it.

        Raises:
            ValueError: If there is no record.
        """
        gathered: dict[Any, Any] = {}
        for results in all_gather_object(self.results):
            for key, record in results:
                gathered.setdefault(key, record)
        self.results.clear()
        if not gathered:
            raise UserError(
                f'{type(self).__name__}: expected at least one clip, got none; check the data set'
            )
        scores = self.compute_metrics(list(gathered.values()))
        return {f'{self.prefix}/{name}' if self.prefix else name: v for name, v in scores.items()}


class PanopticClip(NamedTuple):
    """Panoptic maps of the frames of a clip that have annotations.

    Attributes:
        pred_map: Predicted ids, (T, H, W).
        pred_segments: ``id`` and ``category_id`` of each.
        gt_map: True ids, (T, H, W), int32.
        gt_segments: ``id``, ``category_id``, ``iscrowd`` and ``area`` of each.
    """

    pred_map: np.ndarray
    pred_segments: list[dict[str, Any]]
    gt_map: np.ndarray
    gt_segments: list[dict[str, Any]]


def clip_name(sample: Mapping[str, Any]) -> str:
    """How errors name a clip."""
    return image_name(sample).replace('image', 'clip', 1)


def annotated_frames(sample: Mapping[str, Any], num_frames: int) -> list[int]:
    """Frames with ground truth: those that the sample lists, or all."""
    listed = sample.get('annotated_frames')
    return list(range(num_frames)) if listed is None else [int(frame) for frame in listed]


def read_panoptic_clip(sample: Mapping[str, Any], where: str) -> PanopticClip:
    """Prediction and ground truth of a panoptic clip.

    Raises:
        ValueError: If one is missing, they differ in frames, or true masks overlap.
    """
    prediction: PanopticData = require(sample, 'pred_panoptic', where)
    pred_map = to_array(prediction.segment_map)
    gt_map, gt_segments = paint_segments(require(sample, 'gt_segments', where), where)
    if len(pred_map) != len(gt_map):
        raise UserError(
            f'{where}: pred_panoptic: expected a map for each of {len(gt_map)} frames, got '
            f'{len(pred_map)}; predict every frame'
        )
    segments = [{'id': s.id, 'category_id': s.label} for s in prediction.segments]
    frames = annotated_frames(sample, len(gt_map))
    if len(frames) < len(gt_map):
        pred_map, gt_map = pred_map[frames], gt_map[frames]
        shown = set(np.unique(pred_map).tolist())
        segments = [segment for segment in segments if segment['id'] in shown]
    return PanopticClip(pred_map, segments, gt_map, gt_segments)
