"""COCO's average precision of instances, computed by pycocotools."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import MMLogger
from pycocotools import mask as rle
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from seg.evaluation.metrics.common import (
    image_name,
    percent,
    require,
    text_table,
    to_array,
    write_json,
)
from seg.registry import METRICS
from seg.utils.checks import UserError, unknown_name_message

IOU_TYPES = {'bbox': 'bbox', 'segm': 'segmentation'}
"""What can be compared, and the key of COCO's results that holds it."""

_STATS = ('mAP', 'mAP_50', 'mAP_75', 'mAP_s', 'mAP_m', 'mAP_l')


@METRICS.register_module()
class InstanceMetric(BaseMetric):
    """AP of ``pred_instances`` on images (T = 1), things only.

    Reports ``{bbox,segm}_mAP``, ``_mAP_50``, ``_mAP_75``, ``_mAP_s``, ``_mAP_m``, ``_mAP_l`` in
    percent; NaN where there is no such ground truth.

    Args:
        ann_file: COCO annotations that hold the ground truth; all their images must have been
            predicted, and ``dataset_meta['category_ids']`` is needed. When left out, the things
            of ``gt_segments`` are the ground truth.
        iou_types: Any of ``'bbox'`` and ``'segm'``.
        classwise: Whether to log a table of all classes.
        format_only: Whether to write results without scoring them; needs ``outfile_prefix``.
        outfile_prefix: When given, results are written to ``{outfile_prefix}.{iou_type}.json``.
        collect_device: See ``BaseMetric``.
        prefix: See ``BaseMetric``.
        collect_dir: See ``BaseMetric``.
    """

    default_prefix = 'coco'

    def __init__(
        self,
        ann_file: str | None = None,
        iou_types: Sequence[str] = ('bbox', 'segm'),
        classwise: bool = False,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        for iou_type in iou_types:
            if iou_type not in IOU_TYPES:
                raise ValueError(unknown_name_message('iou_type', iou_type, IOU_TYPES))
        if format_only and outfile_prefix is None:
            raise ValueError('outfile_prefix: expected a path when format_only is set, got None')
        self.ann_file = ann_file
        self.iou_types = tuple(iou_types)
        self.classwise = classwise
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Turn each image into COCO's records; keeps exactly one record per image.

        Raises:
            ValueError: If predictions or the ground truth are missing, a sample is a clip, or a
                predicted label is no thing.
        """
        for sample in data_samples:
            where = image_name(sample)
            instances = require(sample, 'pred_instances', where)
            record = {'img_id': sample['img_id'], 'results': self._results(instances, where)}
            for result in record['results']:
                result['image_id'] = sample['img_id']
            if self.ann_file is None and not self.format_only:
                segments = require(sample, 'gt_segments', where)
                record['truth'] = self._truth(segments, where)
                record['size'] = tuple(require(segments, 'masks', where).shape[-2:])
            self.results.append(record)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Score the records of all images with COCOeval, and write them where asked to."""
        found = [result for record in results for result in record['results']]
        by_type = {t: [_only(r, IOU_TYPES[t]) for r in found] for t in self.iou_types}
        if self.outfile_prefix is not None:
            for iou_type, entries in by_type.items():
                write_json(Path(f'{self.outfile_prefix}.{iou_type}.json'), entries)
        if self.format_only:
            return {}
        with contextlib.redirect_stdout(io.StringIO()):
            truth = self._coco(results)
        metrics: dict[str, float] = {}
        for iou_type, entries in by_type.items():
            metrics.update(self._score(truth, entries, iou_type))
        return metrics

    def _category_ids(self) -> list[int]:
        """Dataset ids of the things, by contiguous label."""
        num_things = require(self.dataset_meta, 'num_things', 'dataset_meta')
        if self.ann_file is None and self.dataset_meta.get('category_ids') is None:
            return list(range(1, num_things + 1))
        ids = require(self.dataset_meta, 'category_ids', 'dataset_meta')
        return [int(ids[label]) for label in range(num_things)]

    def _results(self, instances: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
        labels = to_array(require(instances, 'labels', where)).tolist()
        scores = to_array(require(instances, 'scores', where)).tolist()
        categories = self._category_ids()
        if wrong := sorted({label for label in labels if not 0 <= label < len(categories)}):
            raise UserError(
                f'{where}: pred_instances.labels: expected things in [0, {len(categories)}), '
                f'got {wrong[:5]}; leave stuff out of the instances'
            )
        results = [
            {'category_id': categories[label], 'score': score}
            for label, score in zip(labels, scores, strict=True)
        ]
        if 'segm' in self.iou_types:
            masks = _image_masks(instances, where)
            for result, code in zip(results, _encode(masks), strict=True):
                result['segmentation'] = code
        if 'bbox' in self.iou_types:
            boxes = to_array(require(instances, 'bboxes', where)).reshape(-1, 4)
            for result, (x1, y1, x2, y2) in zip(results, boxes.tolist(), strict=True):
                result['bbox'] = [x1, y1, x2 - x1, y2 - y1]
        return results

    def _truth(self, segments: Mapping[str, Any], where: str) -> list[dict[str, Any]]:
        """Things of the ground truth as COCO annotations."""
        masks = _image_masks(segments, where)
        labels = to_array(require(segments, 'labels', where)).tolist()
        is_crowd = to_array(require(segments, 'is_crowd', where)).tolist()
        categories = self._category_ids()
        return [
            {
                'category_id': categories[label],
                'iscrowd': int(crowd),
                'segmentation': code,
                'area': float(rle.area(code)),
                'bbox': rle.toBbox(code).tolist(),
            }
            for label, crowd, code in zip(labels, is_crowd, _encode(masks), strict=True)
            if 0 <= label < len(categories) and rle.area(code) > 0
        ]

    def _coco(self, results: list) -> COCO:
        """The ground truth as an index of pycocotools."""
        predicted = {record['img_id'] for record in results}
        if self.ann_file is not None:
            if not Path(self.ann_file).is_file():
                raise FileNotFoundError(f'ann_file: expected COCO annotations at {self.ann_file}')
            coco = COCO(self.ann_file)
            if (expected := set(coco.getImgIds())) != predicted:
                raise UserError(
                    f'{self.ann_file}: expected predictions of its {len(expected)} images, got '
                    f'{len(predicted & expected)} of them and {len(predicted - expected)} others; '
                    'evaluate the data set of this file, without filtering'
                )
            return coco
        annotations = [
            {'id': number, 'image_id': image_id, **annotation}
            for number, (image_id, annotation) in enumerate(
                ((r['img_id'], a) for r in results for a in r['truth']), start=1
            )
        ]
        categories = [{'id': category} for category in self._category_ids()]
        images = [
            {'id': r['img_id'], 'height': r['size'][0], 'width': r['size'][1]} for r in results
        ]
        return _index(images, categories, annotations)

    def _score(self, truth: COCO, entries: list, iou_type: str) -> dict[str, float]:
        with contextlib.redirect_stdout(io.StringIO()) as output:
            found = _index(truth.dataset['images'], truth.dataset['categories'], [])
            if entries:
                found = truth.loadRes(entries)
            evaluation = COCOeval(truth, found, iou_type)
            evaluation.params.catIds = self._category_ids()
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        logger = MMLogger.get_current_instance()
        logger.info('%s\n%s', iou_type, output.getvalue())
        if self.classwise:
            classes = require(self.dataset_meta, 'classes', 'dataset_meta')
            # (IoU thresholds, recalls, classes, area ranges, numbers of detections)
            precision = evaluation.eval['precision'][:, :, :, 0, -1]
            aps = [precision[..., i][precision[..., i] > -1] for i in range(precision.shape[-1])]
            rows = [(c, _mean_percent(ap)) for c, ap in zip(classes, aps, strict=False)]
            logger.info('%s AP by class\n%s', iou_type, text_table(('class', 'AP'), rows))
        stats = evaluation.stats[: len(_STATS)].tolist()
        return {
            f'{iou_type}_{name}': percent(value) if value >= 0 else float('nan')
            for name, value in zip(_STATS, stats, strict=True)
        }


def _mean_percent(values: np.ndarray) -> float:
    return percent(values.mean()) if values.size else float('nan')


def _only(result: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A result with one kind of geometry; pycocotools takes areas from boxes when there are any."""
    return {name: result[name] for name in ('image_id', 'category_id', 'score', key)}


def _index(images: list, categories: list, annotations: list) -> COCO:
    coco = COCO()
    coco.dataset = {'images': images, 'categories': categories, 'annotations': annotations}
    coco.createIndex()
    return coco


def _image_masks(entry: Mapping[str, Any], where: str) -> np.ndarray:
    """Masks (N, H, W) of an image."""
    masks = to_array(require(entry, 'masks', where))
    if masks.ndim != 4 or masks.shape[1] != 1:
        raise UserError(
            f'{where}: masks: expected shape (N, 1, H, W), got {masks.shape}; '
            'instance AP is for images, use a video metric for clips'
        )
    return masks[:, 0]


def _encode(masks: np.ndarray) -> list[dict[str, Any]]:
    """COCO's run-length codes of (N, H, W) masks, ready for JSON."""
    codes = rle.encode(np.asfortranarray(masks.transpose(1, 2, 0).astype(np.uint8)))
    return [{'size': code['size'], 'counts': code['counts'].decode()} for code in codes]
