"""What the report card asks of each of its sections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from mmengine.evaluator import BaseMetric

from seg.apis.shapes_clips import PackedClip, ShapesClips
from seg.apis.shapes_samples import PackedSample, ShapesSamples
from seg.apis.video_models import has_memory
from seg.structures import ClipSample, Task
from seg.visualization import SegmentVisualizer
from seg.visualization.clip_strip import STRIP_WIDTH, clip_strip, strip_frames

MAIN = 'main'
"""Name of the run that a section is mainly about."""

Answers = Mapping[str, ClipSample]
"""Name of a run -> the sample with its predictions; the main run comes first."""


@dataclass(frozen=True)
class ReportData:
    """How much is scored.

    Attributes:
        num_images: Images of each section on images.
        num_clips: Clips of each section on videos, but six times as many for identities.
        num_frames: Frames of each clip.
        seed: Which validation world.
    """

    num_images: int = 200
    num_clips: int = 12
    num_frames: int = 48
    seed: int = 1


class TaskReport(ABC):
    """One section: a task, and how it is scored.

    A section may need several runs of a model on one sample, such as with and without memory.

    Attributes:
        name: Of the section.
        task: What samples ask of the model.
        keys: Pairs (name in the registered metrics, name in the report card), the main one first;
            those that the metrics do not give for a model are left out.
        of_videos: Whether samples are clips.
        num_shown: How many samples of each kind (best, median, worst) are drawn.
        sheet_width: Width of their pictures, pixels.
    """

    name: ClassVar[str]
    task: ClassVar[Task]
    keys: ClassVar[tuple[tuple[str, str], ...]]
    of_videos: ClassVar[bool] = False
    num_shown: ClassVar[int] = 3
    sheet_width: ClassVar[int] = 1600

    def fits(self, model: Any) -> bool:
        """Whether the model has the parts that the section is about."""
        return True

    @abstractmethod
    def samples(self, model: Any, data: ReportData) -> Any:
        """What the model is examined on: packed samples by index, ``metainfo`` and ``dataset``."""

    @abstractmethod
    def metrics(self) -> Mapping[str, Sequence[BaseMetric]]:
        """Run -> registered metrics, new."""

    @abstractmethod
    def predict(self, model: Any, packed: Any) -> ClipSample:
        """The sample with the predictions of the main run."""

    def answers(self, model: Any, packed: Any) -> Answers:
        """The predictions of all runs; one that does not apply to the sample is left out."""
        return {MAIN: self.predict(model, packed)}

    @abstractmethod
    def baseline(self, packed: Any) -> Answers:
        """The same of the trivial baseline."""

    @abstractmethod
    def draw(
        self,
        packed: Any,
        sample: ClipSample,
        metainfo: Mapping[str, Any],
        visualizer: SegmentVisualizer,
    ) -> np.ndarray:
        """Truth and prediction as a picture, (H, W, 3), uint8, RGB."""


class ImageReport(TaskReport):
    """A section on images."""

    def samples(self, model: Any, data: ReportData) -> ShapesSamples:
        """Held-out images."""
        kinds = model.prompt_kinds if self.task.is_prompted else ()
        return ShapesSamples(
            self.task, model.cfg, data.num_images, data.seed, prompt_features=kinds
        )

    def metrics(self) -> Mapping[str, Sequence[BaseMetric]]:
        """The metric of the only run."""
        return {MAIN: [self.metric()]}

    @abstractmethod
    def metric(self) -> BaseMetric:
        """The registered metric, new."""

    def predict(self, model: Any, packed: PackedSample) -> ClipSample:
        """The sample with the model's predictions."""
        return run_model(model, packed.inputs, packed.sample)

    def baseline(self, packed: PackedSample) -> Answers:
        """What needs no learning."""
        sample = without_predictions(packed.sample)
        self.add_baseline(packed, sample)
        return {MAIN: sample}

    @abstractmethod
    def add_baseline(self, packed: PackedSample, sample: ClipSample) -> None:
        """Write the predictions of the trivial baseline into ``sample``.

        Args:
            packed: What the model gets.
            sample: Ground truth and prompts of the same image, without predictions.
        """

    def draw(
        self,
        packed: PackedSample,
        sample: ClipSample,
        metainfo: Mapping[str, Any],
        visualizer: SegmentVisualizer,
    ) -> np.ndarray:
        """Image, ground truth and prediction side by side."""
        return visualizer.draw_comparison(
            packed.image, sample, metainfo['classes'], metainfo['num_things']
        )


class VideoReport(TaskReport):
    """A section on clips, for models with a memory.

    Attributes:
        with_events: Whether every clip has a crossing or a full occlusion.
        clip_factor: How many times as many clips as in :class:`ReportData` are scored.
    """

    of_videos = True
    with_events = False
    clip_factor: ClassVar[int] = 1
    num_shown = 1
    sheet_width = STRIP_WIDTH

    def fits(self, model: Any) -> bool:
        """Whether the model follows objects."""
        return has_memory(model)

    def samples(self, model: Any, data: ReportData) -> ShapesClips:
        """Held-out clips."""
        return ShapesClips(
            self.task,
            model.cfg,
            self.clip_factor * data.num_clips,
            data.num_frames,
            data.seed,
            kinds=self.prompt_kinds(model),
            with_events=self.with_events,
        )

    def prompt_kinds(self, model: Any) -> tuple[str, ...]:
        """How objects are prompted, in a run each."""
        return ()

    def predict(self, model: Any, packed: PackedClip) -> ClipSample:
        """The clip with the model's predictions."""
        return run_model(model, packed.inputs, without_predictions(packed.sample))

    def draw(
        self,
        packed: PackedClip,
        sample: ClipSample,
        metainfo: Mapping[str, Any],
        visualizer: SegmentVisualizer,
    ) -> np.ndarray:
        """A strip of frames, the truth above the prediction."""
        images = {t: packed.frames[t] for t in strip_frames(len(packed.frames))}
        return clip_strip(images, sample, metainfo['classes'], metainfo['num_things'], visualizer)


def run_model(model: Any, inputs: Any, sample: ClipSample) -> ClipSample:
    """The sample with what the model predicts for it."""
    with torch.no_grad():
        (predicted,) = model.test_step({'inputs': [inputs], 'data_samples': [sample]})
    return predicted


def without_predictions(sample: ClipSample) -> ClipSample:
    """A new sample with the ground truth and the prompts of another."""
    copy = ClipSample(metainfo=sample.metainfo)
    copy.gt_segments = sample.gt_segments
    if 'prompts' in sample:
        copy.prompts, copy.prompt_targets = sample.prompts, sample.prompt_targets
    return copy
