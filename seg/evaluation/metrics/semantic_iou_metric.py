"""Mean IoU of classes over a whole data set, named after how classes and places were found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.dist import is_main_process
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log

from seg.evaluation.metrics.common import (
    image_name,
    percent,
    require,
    text_table,
    to_array,
    write_json,
)
from seg.registry import METRICS
from seg.utils.atomic_write import write_bytes_atomically
from seg.utils.checks import UserError, unknown_name_message

REGIMES = ('auto', 'oracle_gt_box', 'instance_gt_box')
"""How predictions came about: from the image alone; from a box of the ground truth around
each class that is there; from a box of the ground truth around each connected region. Only the
first compares with other semantic segmentation."""


@METRICS.register_module()
class SemanticIoUMetric(BaseMetric):
    """IoU of every class from one confusion matrix over all images, at original resolution.

    Pixels that belong to no segment of the ground truth, and crowds, are left out; void in the
    prediction counts as wrong. Classes that occur nowhere have no IoU and are left out of the mean.
    Reads ``gt_segments`` and ``pred_panoptic``. Reports in percent ``mIoU``, ``PixelAcc`` and
    ``IoU_<class>``, under the name of the regime, so that tables cannot mix them up.

    Args:
        regime: One of :data:`REGIMES`.
        out_dir: Folder for ``evaluation_results.txt`` and ``evaluation_results.json``.
        collect_device: See ``BaseMetric``.
        collect_dir: See ``BaseMetric``.
    """

    def __init__(
        self,
        regime: str = 'auto',
        out_dir: str | Path | None = None,
        collect_device: str = 'cpu',
        collect_dir: str | None = None,
    ) -> None:
        if regime not in REGIMES:
            raise UserError(unknown_name_message('regime', regime, REGIMES))
        super().__init__(collect_device, regime, collect_dir)
        self.regime = regime
        self.out_dir = None if out_dir is None else Path(out_dir)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Count the pixels of each image; keeps exactly one matrix per image.

        Raises:
            UserError: If predictions or ground truth are missing or of another size.
        """
        num = len(self.dataset_meta['classes']) if self.dataset_meta else 0
        for sample in data_samples:
            self.results.append(_confusion(sample, num))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """IoU of the summed matrices.

        Raises:
            UserError: If no pixel has a class.
        """
        assert self.dataset_meta is not None, 'process needs the classes'
        matrix = np.sum(results, axis=0)
        if not matrix.sum():
            raise UserError('SemanticIoUMetric: expected labelled pixels, got none in all images')
        names = self.dataset_meta['classes']
        hits = np.diag(matrix[:, :-1]).astype(np.float64)
        union = matrix.sum(axis=1) + matrix[:, :-1].sum(axis=0) - hits
        ious = np.where(union > 0, hits / np.maximum(union, 1), np.nan)
        metrics = {
            'mIoU': percent(np.nanmean(ious)),
            'PixelAcc': percent(hits.sum() / matrix.sum()),
        }
        metrics.update({f'IoU_{n}': percent(iou) for n, iou in zip(names, ious, strict=True)})
        self._write(metrics)
        return metrics

    def _write(self, metrics: Mapping[str, float]) -> None:
        rows: list[list[str | float]] = [[name, value] for name, value in metrics.items()]
        table = text_table([f'{self.regime}, percent', 'value'], rows)
        print_log(f'\n{table}', logger='current')
        if self.out_dir is None or not is_main_process():
            return
        self.out_dir.mkdir(parents=True, exist_ok=True)
        text = f'regime: {self.regime}\n{table}\n'
        write_bytes_atomically(self.out_dir / 'evaluation_results.txt', text.encode())
        known = {k: v for k, v in metrics.items() if v == v}  # JSON has no NaN
        content = {'regime': self.regime, 'percent': known}
        write_json(self.out_dir / 'evaluation_results.json', content)


def _confusion(sample: Mapping[str, Any], num_classes: int) -> np.ndarray:
    """Pixels by true class and predicted class (the last one is void), (K, K + 1), int64."""
    where = image_name(sample)
    segments = require(sample, 'gt_segments', where)
    masks = to_array(require(segments, 'masks', where))
    labels = to_array(require(segments, 'labels', where))
    crowd = to_array(require(segments, 'is_crowd', where))
    prediction = require(sample, 'pred_panoptic', where)
    found = to_array(prediction.segment_map)
    if masks.shape[1:] != found.shape:
        raise UserError(
            f'{where}: pred_panoptic: expected the original size {masks.shape[1:]} (T, H, W), got '
            f'{found.shape}; resize predictions to ori_shape'
        )
    truth = np.full(found.shape, -1, dtype=np.int64)
    for mask, label in zip(masks[~crowd], labels[~crowd], strict=True):
        truth[mask] = label
    truth[masks[crowd].any(axis=0)] = -1
    if strange := sorted({s.label for s in prediction.segments if s.label >= num_classes}):
        raise UserError(
            f'{where}: pred_panoptic: expected classes below {num_classes}, those of the data, got '
            f'{strange[:5]}; use a model, or a class_table, of the same classes'
        )
    largest = max((segment.id for segment in prediction.segments), default=0)
    label_of = np.full(largest + 1, num_classes, dtype=np.int64)
    for segment in prediction.segments:
        label_of[segment.id] = segment.label
    counted = truth >= 0
    pairs = truth[counted] * (num_classes + 1) + label_of[found[counted]]
    counts = np.bincount(pairs, minlength=num_classes * (num_classes + 1))
    return counts.reshape(num_classes, num_classes + 1)
