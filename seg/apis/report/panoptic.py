"""Panoptic quality on the report card."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from seg.apis.report.base import TaskReport, report_task
from seg.apis.shapes_samples import PackedSample
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS, ShapesWorld
from seg.evaluation.functional.trivial_baseline import mean_class_colors, panoptic_by_color
from seg.evaluation.metrics import PanopticMetric
from seg.structures import ClipSample, PanopticData, Segment, Task

# The baseline learns its colours from these many images of the default training world.
_NUM_COLOR_IMAGES = 50


@report_task
class PanopticReport(TaskReport):
    """PQ, SQ and RQ over all classes."""

    task = Task.PANOPTIC
    keys = (('panoptic/PQ', 'PQ'), ('panoptic/SQ', 'SQ'), ('panoptic/RQ', 'RQ'))

    def metric(self) -> PanopticMetric:
        """The registered metric of panoptic quality."""
        return PanopticMetric()

    def add_baseline(self, packed: PackedSample, sample: ClipSample) -> None:
        """Connected regions of one colour, of the class nearest in colour."""
        num_things = len(SHAPES_THINGS)
        segment_map, found = panoptic_by_color(packed.image, _class_colors(), num_things)
        segments = [
            Segment(entry['id'], entry['category_id'], entry['category_id'] < num_things, 1.0)
            for entry in found
        ]
        sample.pred_panoptic = PanopticData(torch.from_numpy(segment_map)[None], segments)


@lru_cache(maxsize=1)
def _class_colors() -> np.ndarray:
    world = ShapesWorld(seed=0)  # the training split of seed 0
    images = (world.image(index) for index in range(_NUM_COLOR_IMAGES))
    return mean_class_colors(
        ((image.clip[0], image.segment_map[0], image.labels) for image in images),
        len(SHAPES_THINGS + SHAPES_STUFF),
    )
