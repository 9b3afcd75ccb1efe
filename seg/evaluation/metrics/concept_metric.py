"""cgF1: are all instances of a phrase found, and none where there are none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mmengine.evaluator import BaseMetric

from seg.evaluation.functional.concepts import concept_summary, score_concept
from seg.evaluation.metrics.common import image_name, percent, require, to_array
from seg.registry import METRICS
from seg.utils.checks import UserError


@METRICS.register_module()
class ConceptMetric(BaseMetric):
    """Agreement of the instances of each phrase with the segments of the class it names.

    Reads ``phrase_labels``, ``gt_segments`` and ``pred_instances`` with ``rows``. Crowds are no
    instances. Reports ``cgF1``, ``pmF1`` and ``IL_MCC`` in percent; see
    :func:`~seg.evaluation.functional.concepts.concept_summary`.

    Args:
        score_threshold: Least score of an instance that counts.
        collect_device: See ``BaseMetric``.
        prefix: See ``BaseMetric``.
        collect_dir: See ``BaseMetric``.

    Raises:
        UserError: If the threshold is no share.
    """

    default_prefix = 'concept'

    def __init__(
        self,
        score_threshold: float = 0.5,
        collect_device: str = 'cpu',
        prefix: str | None = None,
        collect_dir: str | None = None,
    ) -> None:
        super().__init__(collect_device, prefix, collect_dir)
        if not 0 <= score_threshold <= 1:
            raise UserError(f'score_threshold: expected a share in [0, 1], got {score_threshold}')
        self.score_threshold = score_threshold

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Match each phrase of each image; keeps exactly one record per image.

        Raises:
            UserError: If something is missing.
        """
        for sample in data_samples:
            where = image_name(sample)
            labels = require(sample, 'phrase_labels', where)
            truth = require(sample, 'gt_segments', where)
            found = require(sample, 'pred_instances', where)
            rows, kept = to_array(require(found, 'rows', where)), to_array(found['scores'])
            kept = kept >= self.score_threshold
            masks, wanted = to_array(found['masks']), to_array(truth['masks'])
            classes = to_array(truth['labels'])
            seen = wanted.any(axis=(1, 2, 3))
            if 'is_crowd' in truth:
                seen &= ~to_array(truth['is_crowd'])
            scores = [
                score_concept(masks[kept & (rows == row)], wanted[seen & (classes == label)])
                for row, label in enumerate(labels)
            ]
            self.results.append({'img_id': sample['img_id'], 'scores': scores})

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Sum over all images.

        Raises:
            UserError: If there was no phrase at all.
        """
        scores = [score for record in results for score in record['scores']]
        if not scores:
            raise UserError(
                f'ConceptMetric: expected phrases, got none in {len(results)} images; add '
                'ConceptPhrases to the pipeline'
            )
        return {name: percent(value) for name, value in concept_summary(scores).items()}
