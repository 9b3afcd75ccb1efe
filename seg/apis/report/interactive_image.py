"""Prompts on the report card."""

from __future__ import annotations

from typing import Any

from seg.apis.report.base import ImageReport
from seg.apis.report.color_baseline import ColorBaseline
from seg.apis.shapes_samples import PackedSample
from seg.evaluation.metrics import InteractiveMetric
from seg.evaluation.protocols import ClickProtocol
from seg.structures import ClipSample, Task

_MAX_CLICKS = 20
_NAMES = (
    'mIoU@1',
    'mIoU@3',
    'mIoU@5',
    'box_mIoU',
    'mask_mIoU',
    'text_gIoU',
    'text_cIoU',
    'NoC@85',
    'NoC@90',
    'neg_removed',
)


class InteractiveImageReport(ImageReport):
    """IoU after simulated clicks in every segment, and of boxes, masks and texts.

    The first click lies in the middle of the segment. Sessions have at most 20 clicks; NoC counts
    those to an IoU of 85 or 90.
    """

    name = 'interactive_image'
    task = Task.INTERACTIVE_IMAGE
    keys = tuple((f'interactive/{name}', name) for name in _NAMES)

    def metric(self) -> InteractiveMetric:
        """The registered metric of prompted objects."""
        return InteractiveMetric(_MAX_CLICKS)

    def predict(self, model: Any, packed: PackedSample) -> ClipSample:
        """The sample with the last masks of all sessions."""
        return _examine(model, packed, packed.sample)

    def add_baseline(self, packed: PackedSample, sample: ClipSample) -> None:
        """Regions of the clicked colour, and boxes and masks as they are."""
        _examine(ColorBaseline(packed.image), packed, sample)


def _examine(model: Any, packed: PackedSample, sample: ClipSample) -> ClipSample:
    batch = {'inputs': [packed.inputs], 'data_samples': [sample]}
    (answered,) = ClickProtocol(_MAX_CLICKS).run(model, batch)
    return answered
