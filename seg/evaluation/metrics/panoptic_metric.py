"""Panoptic quality of clips, through the evaluator of MMEngine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger

from seg.evaluation.functional.panoptic_files import write_panoptic_png
from seg.evaluation.functional.pq import PQStat, pq_stat
from seg.evaluation.metrics.common import (
    annotated_labels,
    image_name,
    paint_segments,
    percent,
    require,
    text_table,
    to_array,
    write_json,
)
from seg.registry import METRICS
from seg.structures import PanopticData
from seg.utils.checks import UserError

_GROUPS = {'': 'All', '_th': 'Things', '_st': 'Stuff'}


@METRICS.register_module()
class PanopticMetric(BaseMetric):
    """PQ, SQ and RQ of ``pred_panoptic`` against ``gt_segments``, both at original resolution.

    A clip counts as one volume, so a segment has to keep its id over the frames; with T = 1 this
    is the ordinary PQ of images. The ground truth must be exclusive: no pixel in two segments.
    Crowd segments and segments of unknown class (label -1) count as the official evaluation
    counts crowds and void.

    Reports ``PQ``, ``SQ``, ``RQ`` and the same with ``_th`` (things) and ``_st`` (stuff), in
    percent, averaged over the classes that occur; NaN for a group of which none does. Where all
    samples say which classes are annotated (``annotated_classes``) and some are, those alone are
    averaged over: a model of several data sets may know names that this one lacks, and a segment
    so named is a miss of the true class, not a class of its own.

    Args:
        classwise: Whether to log a table of all classes.
        outfile_prefix: When given, results are also written in COCO's layout,
            ``{outfile_prefix}.panoptic.json`` and PNG files in ``{outfile_prefix}.panoptic/``.
            Needs ``dataset_meta['category_ids']`` and images (T = 1).
        collect_device: See ``BaseMetric``.
        prefix: See ``BaseMetric``.
        collect_dir: See ``BaseMetric``.
    """

    default_prefix = 'panoptic'

    def __init__(
        self,
        classwise: bool = False,
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        self.classwise = classwise
        self.outfile_prefix = outfile_prefix

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Compare each clip; keeps exactly one record per clip.

        Raises:
            ValueError: If a prediction or the ground truth is missing, sizes differ, true masks
                overlap, or a class is unknown.
        """
        for sample in data_samples:
            self.results.append(self._record(sample))

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Add the records of all images up."""
        total = PQStat()
        for record in results:
            total += record['stat']
        classes = require(self.dataset_meta, 'classes', 'dataset_meta')
        num_things = require(self.dataset_meta, 'num_things', 'dataset_meta')
        labels = annotated_labels((record['annotated'] for record in results), len(classes))
        summary = total.summary({label: label < num_things for label in labels})
        if self.classwise:
            rows = [
                (classes[label], *(percent(row[k]) for k in ('pq', 'sq', 'rq')))
                for label, row in summary['per_class'].items()
            ]
            logger = MMLogger.get_current_instance()
            logger.info('PQ by class\n%s', text_table(('class', 'PQ', 'SQ', 'RQ'), rows))
        if self.outfile_prefix is not None:
            content = {'annotations': [record['annotation'] for record in results]}
            write_json(Path(f'{self.outfile_prefix}.panoptic.json'), content)
        return {
            f'{measure.upper()}{suffix}': percent(summary[group][measure])
            for suffix, group in _GROUPS.items()
            for measure in ('pq', 'sq', 'rq')
        }

    def _record(self, sample: Mapping[str, Any]) -> dict[str, Any]:
        where = image_name(sample)
        prediction: PanopticData = require(sample, 'pred_panoptic', where)
        pred_map = to_array(prediction.segment_map)
        gt_map, gt_segments = paint_segments(require(sample, 'gt_segments', where), where)
        stat = pq_stat(
            pred_map,
            [{'id': s.id, 'category_id': s.label} for s in prediction.segments],
            gt_map,
            gt_segments,
            categories=range(len(require(self.dataset_meta, 'classes', 'dataset_meta'))),
            where=where,
        )
        annotated = sample.get('annotated_classes')
        record = {'img_id': sample['img_id'], 'stat': stat, 'annotated': annotated}
        if self.outfile_prefix is not None:
            record['annotation'] = self._write(sample['img_id'], pred_map, prediction, where)
        return record

    def _write(
        self, img_id: int | str, pred_map: np.ndarray, prediction: PanopticData, where: str
    ) -> dict[str, Any]:
        """Write the PNG of one image and return its entry of the JSON file."""
        if len(pred_map) != 1:
            raise UserError(
                f'{where}: outfile_prefix: expected images (T = 1), got {len(pred_map)} frames; '
                "COCO's layout has no clips"
            )
        category_ids = require(self.dataset_meta, 'category_ids', 'dataset_meta')
        name = f'{img_id:012d}' if isinstance(img_id, int) else str(img_id).replace('/', '_')
        write_panoptic_png(Path(f'{self.outfile_prefix}.panoptic') / f'{name}.png', pred_map[0])
        segments = [
            {
                'id': int(s.id),
                'category_id': int(category_ids[s.label]),
                'isthing': int(s.is_thing),
                'score': float(s.score),
            }
            for s in prediction.segments
        ]
        return {'image_id': img_id, 'file_name': f'{name}.png', 'segments_info': segments}
