"""Everything in a clip, on the report card: video instances and video panoptic."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seg.apis.report.base import MAIN, Answers, VideoReport, without_predictions
from seg.apis.report.panoptic import color_panoptic
from seg.apis.report.video_baselines import repeat_first_frame, tubes_of
from seg.apis.shapes_clips import PackedClip
from seg.apis.video_models import has_tracker
from seg.evaluation.metrics import StqMetric, VpqMetric, YoutubeVisMetric
from seg.evaluation.metrics.clip_metric import ClipMetric
from seg.structures import Task


class PanopticClipsReport(VideoReport):
    """What both evaluations of panoptic on clips share; the baseline never moves."""

    task = Task.PANOPTIC

    def fits(self, model: Any) -> bool:
        """Whether the model follows objects and what it finds."""
        return super().fits(model) and has_tracker(model)

    def baseline(self, packed: PackedClip) -> Answers:
        """Coloured regions of the first frame in all frames."""
        sample = without_predictions(packed.sample)
        found = color_panoptic(packed.image)
        sample.pred_panoptic = repeat_first_frame(found, len(packed.frames))
        sample.pred_tubes = tubes_of(sample.pred_panoptic)
        return {MAIN: sample}


class VisReport(PanopticClipsReport):
    """AP of things followed over the clip."""

    name = 'vis'
    keys = (('youtube_vis/AP', 'AP'),)

    def metrics(self) -> Mapping[str, Sequence[ClipMetric]]:
        """That of YouTube-VIS."""
        return {MAIN: [YoutubeVisMetric()]}


class VideoPanopticReport(PanopticClipsReport):
    """VPQ and STQ of all segments."""

    name = 'video_panoptic'
    keys = (('vpq/VPQ', 'VPQ'), ('stq/STQ', 'STQ'))

    def metrics(self) -> Mapping[str, Sequence[ClipMetric]]:
        """Both."""
        return {MAIN: [VpqMetric(), StqMetric()]}
