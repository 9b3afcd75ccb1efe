"""Panoptic quality on the report card."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch

from seg.apis.report.base import ImageReport
from seg.apis.shapes_samples import PackedSample
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS, ShapesWorld
from seg.evaluation.functional.trivial_baseline import mean_class_colors, panoptic_by_color
from seg.evaluation.metrics import PanopticMetric
from seg.structures import ClipSample, PanopticData, Segment, Task

# The baseline learns its colours from these many images of the default training world.
_NUM_COLOR_IMAGES = 50


class PanopticReport(ImageReport):
    """PQ, SQ and RQ over all classes."""

    name = 'panoptic'
    task = Task.PANOPTIC
    keys = (('panoptic/PQ', 'PQ'), ('panoptic/SQ', 'SQ'), ('panoptic/RQ', 'RQ'))

    def metric(self) -> PanopticMetric:
        """The registered metric of panoptic quality."""
        return PanopticMetric()

    def add_baseline(self, packed: PackedSample, sample: ClipSample) -> None:
        """Connected regions of one colour, of the class nearest in colour."""
        sample.pred_panoptic = color_panoptic(packed.image)


def color_panoptic(image: np.ndarray) -> PanopticData:
    """Connected regions of one colour of an image (H, W, 3), of the class nearest in colour."""
    num_things = len(SHAPES_THINGS)
    segment_map, found = panoptic_by_color(image, _class_colors(), num_things)
    segments = [
        Segment(entry['id'], entry['category_id'], entry['category_id'] < num_things, 1.0)
        for entry in found
    ]
    return PanopticData(torch.from_numpy(segment_map)[None], segments)


@lru_cache(maxsize=1)
def _class_colors() -> np.ndarray:
    world = ShapesWorld(seed=0)  # the training split of seed 0
    images = (world.image(index) for index in range(_NUM_COLOR_IMAGES))
    return mean_class_colors(
        ((image.clip[0], image.segment_map[0], image.labels) for image in images),
        len(SHAPES_THINGS + SHAPES_STUFF),
    )
