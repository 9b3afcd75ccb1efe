"""The demo's tasks on videos without an input: held-out clips of Shapes as strips of frames."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

import torch

from seg.apis.demo_tasks.base import DemoPicture, DemoRequest, DemoTask, demo_task, shapes_name
from seg.apis.shapes_clips import ShapesClips
from seg.apis.shapes_samples import check_knows_shapes
from seg.apis.video_models import check_follows
from seg.structures import Task
from seg.utils.checks import UserError
from seg.visualization.clip_strip import clip_strip, strip_frames

_NUM_FRAMES = 24


class ClipDemo(DemoTask):
    """Objects of Shapes followed through clips; videos of one's own take another way."""

    kind: ClassVar[str]

    def check(self, model: Any, request: DemoRequest) -> None:
        """The model follows objects, and nothing was prompted without a video."""
        check_follows(model)
        if request.sources or request.prompts is not None:
            raise UserError(
                f'input: expected a video or a folder of frames for prompts in {self.task}, got '
                'none; add --input'
            )
        check_knows_shapes(model.dataset_meta)

    def run(self, model: Any, request: DemoRequest) -> Iterator[DemoPicture]:
        """One strip per clip, the truth above the prediction."""
        clips = ShapesClips(
            self.task, model.cfg, request.num_shapes, _NUM_FRAMES, request.seed, kinds=(self.kind,)
        )
        classes, num_things = model.dataset_meta['classes'], model.dataset_meta['num_things']
        for index, packed in enumerate(clips):
            with torch.no_grad():
                (sample,) = model.test_step(
                    {'inputs': [packed.inputs], 'data_samples': [packed.sample]}
                )
            images = {t: packed.frames[t] for t in strip_frames(_NUM_FRAMES)}
            picture = clip_strip(images, sample, classes, num_things, request.visualizer)
            count = len(sample.pred_tracks.object_ids)
            summary = f'{count} object{"" if count == 1 else "s"} in {_NUM_FRAMES} frames'
            yield DemoPicture(shapes_name(index), picture, summary)


@demo_task
class VosDemo(ClipDemo):
    """Things by their masks in the frame that shows them first."""

    task = Task.VOS
    kind = 'mask'


@demo_task
class InteractiveVideoDemo(ClipDemo):
    """Things by one click each."""

    task = Task.INTERACTIVE_VIDEO
    kind = 'click'
