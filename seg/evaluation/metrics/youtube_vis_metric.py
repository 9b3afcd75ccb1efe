"""Average precision of video instances, computed by MMDetection's evaluation of YouTube-VIS."""

from __future__ import annotations

import contextlib
import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from mmengine.dist import is_main_process
from mmengine.logging import MMLogger
from pycocotools import mask as rle

from seg.evaluation.metrics.clip_metric import ClipMetric
from seg.evaluation.metrics.common import percent, require, to_array
from seg.registry import METRICS
from seg.structures import Tube
from seg.utils.atomic_write import write_atomically
from seg.utils.checks import UserError

_STATS = {'AP': 0, 'AP_50': 1, 'AP_75': 2, 'AR@1': 6, 'AR@10': 7}
"""Name of each score and its place in what MMDetection computes."""


@METRICS.register_module()
class YoutubeVisMetric(ClipMetric):
    """AP of ``pred_tubes`` against the things of ``gt_segments``, whole clips at original size.

    The IoU of two tubes is taken over the pixels of all frames, so an object that changes its id
    loses. Reports ``AP``, ``AP_50``, ``AP_75``, ``AR@1``, ``AR@10`` in percent; NaN if there is no
    object at all.

    Args:
        format_only: Whether to write a submission without scoring it, for sets whose annotations
            are not public; needs ``outfile_prefix``.
        outfile_prefix: When given, ``{outfile_prefix}.zip`` is written for the evaluation server.
            It has ``results.json`` with the data set's own ids of videos and categories.
        prefix: See ``BaseMetric``.
    """

    default_prefix = 'youtube_vis'

    def __init__(
        self,
        format_only: bool = False,
        outfile_prefix: str | None = None,
        prefix: str | None = None,
    ) -> None:
        super().__init__(prefix)
        if format_only and outfile_prefix is None:
            raise ValueError('outfile_prefix: expected a path when format_only is set, got None')
        self.format_only = format_only
        self.outfile_prefix = outfile_prefix

    def record(self, sample: Mapping[str, Any], where: str) -> dict[str, Any]:
        """Predictions and truth of one video as YouTube-VIS has them."""
        categories = self._category_ids()
        height, width = (int(side) for side in require(sample, 'ori_shape', where))
        tubes: Sequence[Tube] = require(sample, 'pred_tubes', where)
        segments = require(sample, 'gt_segments', where)  # of no object, where nothing is public
        masks = to_array(require(segments, 'masks', where))
        results = []
        for tube in tubes:
            _check_tube(tube, masks.shape[1], (height, width), len(categories), where)
            results.append(
                {
                    'category_id': categories[tube.label],
                    'score': float(tube.score),
                    'segmentations': [c if c is None else _text_code(c) for c in tube.rles],
                }
            )
        return {
            'video_id': sample['img_id'],
            'size': (height, width),
            'results': results,
            'truth': _truth(segments, masks, categories, where),
        }

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Write the submission where asked to, and score."""
        if self.outfile_prefix is not None and is_main_process():
            _write_submission(Path(f'{self.outfile_prefix}.zip'), results)
        return {} if self.format_only else self._score(results)

    def _category_ids(self) -> list[int]:
        """Ids of the things in the data set's files, by contiguous label."""
        num_things = require(self.dataset_meta, 'num_things', 'dataset_meta')
        ids = self.dataset_meta.get('category_ids')
        return [label + 1 if ids is None else int(ids[label]) for label in range(num_things)]

    def _score(self, records: list[dict[str, Any]]) -> dict[str, float]:
        from mmdet.evaluation.functional import YTVIS, YTVISeval  # slow to import

        content: dict[str, list[dict[str, Any]]] = {
            'videos': [
                {'id': number, 'height': record['size'][0], 'width': record['size'][1]}
                for number, record in enumerate(records, 1)
            ],
            'categories': [{'id': category} for category in self._category_ids()],
            'annotations': _numbered(records, 'truth'),
        }
        with contextlib.redirect_stdout(io.StringIO()) as output:
            truth = YTVIS(content)
            found = _numbered(records, 'results')
            predicted = truth.loadRes(found) if found else YTVIS({**content, 'annotations': []})
            evaluation = YTVISeval(truth, predicted, 'segm')
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        MMLogger.get_current_instance().debug('YouTube-VIS\n%s', output.getvalue())
        return {
            name: percent(value) if (value := evaluation.stats[place]) >= 0 else float('nan')
            for name, place in _STATS.items()
        }


def _numbered(records: Sequence[Mapping[str, Any]], key: str) -> list[dict[str, Any]]:
    """Entries of all videos with ids from 1 on, of videos and of their own."""
    entries = [
        {**entry, 'video_id': number}
        for number, record in enumerate(records, 1)
        for entry in record[key]
    ]
    return [{**entry, 'id': number} for number, entry in enumerate(entries, 1)]


def _truth(
    segments: Mapping[str, Any], masks: np.ndarray, categories: Sequence[int], where: str
) -> list[dict[str, Any]]:
    """Things of the ground truth as annotations of YouTube-VIS."""
    labels = to_array(require(segments, 'labels', where)).tolist()
    crowds = to_array(require(segments, 'is_crowd', where)).tolist()
    annotations = []
    for mask, label, crowd in zip(masks, labels, crowds, strict=True):
        if not 0 <= label < len(categories) or not mask.any():
            continue
        codes = [_encode(frame) if frame.any() else None for frame in mask]
        annotations.append(
            {
                'category_id': categories[label],
                'iscrowd': int(crowd),
                'segmentations': codes,
                'areas': [None if code is None else int(rle.area(code)) for code in codes],
            }
        )
    return annotations


def _check_tube(
    tube: Tube, num_frames: int, size: tuple[int, int], num_things: int, where: str
) -> None:
    if tube.label >= num_things:
        raise UserError(
            f'{where}: pred_tubes: expected labels of things in [0, {num_things}), got '
            f'{tube.label}; leave stuff out of the tubes'
        )
    if len(tube.rles) != num_frames:
        raise UserError(
            f'{where}: pred_tubes: expected masks of {num_frames} frames, got {len(tube.rles)}; '
            'put None where an object is not seen'
        )
    sizes = {tuple(code['size']) for code in tube.rles if code is not None}
    if sizes - {size}:
        raise UserError(
            f'{where}: pred_tubes: expected masks of the original size (H, W) = {size}, got '
            f'{sorted(sizes - {size})}; resize them to ori_shape'
        )


def _encode(mask: np.ndarray) -> dict[str, Any]:
    return _text_code(rle.encode(np.asfortranarray(mask.astype(np.uint8))))


def _text_code(code: Mapping[str, Any]) -> dict[str, Any]:
    """Run lengths as JSON can hold them."""
    counts = code['counts']
    text = counts.decode() if isinstance(counts, bytes) else counts
    return {'size': [int(side) for side in code['size']], 'counts': text}


def _write_submission(path: Path, records: Sequence[Mapping[str, Any]]) -> None:
    """Write the zip file that the evaluation server takes."""
    results = [
        {'video_id': record['video_id'], **result}
        for record in records
        for result in record['results']
    ]
    data = json.dumps(results).encode()

    def write(file: BinaryIO) -> None:
        with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
            archive.writestr('results.json', data)

    write_atomically(path, write, len(data))
