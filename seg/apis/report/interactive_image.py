"""Clicks on the report card."""

from __future__ import annotations

import numpy as np
import torch
from mmengine.structures import InstanceData

from seg.apis.report.base import TaskReport, report_task
from seg.apis.shapes_samples import PackedSample
from seg.evaluation.functional.trivial_baseline import mask_by_color
from seg.evaluation.metrics import InteractiveMetric
from seg.structures import ClipSample, Task
from seg.visualization.layers import prompts_on_image


@report_task
class InteractiveImageReport(TaskReport):
    """Mean IoU after one click in the middle of every segment."""

    task = Task.INTERACTIVE_IMAGE
    keys = (('interactive/mIoU@1', 'mIoU@1'),)

    def metric(self) -> InteractiveMetric:
        """The registered metric of prompted objects."""
        return InteractiveMetric()

    def add_baseline(self, packed: PackedSample, sample: ClipSample) -> None:
        """The connected region of one colour around the click."""
        points = prompts_on_image(sample).point_coords[:, 0].tolist()
        masks = np.stack([mask_by_color(packed.image, x, y) for x, y in points])
        sample.pred_prompted = InstanceData(
            object_ids=sample.prompts.object_ids,
            masks=torch.from_numpy(masks)[:, None, None],
            iou_scores=torch.ones(len(masks), 1),
        )
