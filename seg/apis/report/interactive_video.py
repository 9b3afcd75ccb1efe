"""Objects pointed at in videos, on the report card."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from seg.apis.report.base import MAIN, Answers, VideoReport, run_model, without_predictions
from seg.apis.report.color_baseline import color_tracks
from seg.apis.shapes_clips import MIN_AREA, PackedClip
from seg.evaluation.clip_corrections import with_corrections
from seg.evaluation.metrics import DavisMetric
from seg.evaluation.metrics.clip_metric import ClipMetric
from seg.structures import ClipSample, Task

CORRECTED, TEXT = 'corrected', 'text'
_CORRECTION_KINDS = frozenset({'multi_click', 'negative_click'})


class InteractiveVideoReport(VideoReport):
    """J and F from one click per object, with a second one mid-video, and from words.

    Each object is scored from the frame after its first prompt on, so that a correction is compared
    over the frames of the click that it corrects. The second click goes to the largest error on
    the middle frame, for objects that it shows.
    """

    name = 'interactive_video'
    task = Task.INTERACTIVE_VIDEO
    keys = (
        ('one_click/J&F', 'J&F@1click'),
        (f'{CORRECTED}/J&F', 'J&F_corrected'),
        (f'{TEXT}/J&F', 'text_J&F'),
    )

    def prompt_kinds(self, model: Any) -> tuple[str, ...]:
        """Clicks, and words for models that know them."""
        return ('click', 'text') if 'text' in model.prompt_kinds else ('click',)

    def metrics(self) -> Mapping[str, Sequence[ClipMetric]]:
        """J and F of each run."""
        prefixes = {MAIN: 'one_click', CORRECTED: CORRECTED, TEXT: TEXT}
        return {run: [DavisMetric(prefix=prefix)] for run, prefix in prefixes.items()}

    def answers(self, model: Any, packed: PackedClip) -> Answers:
        """Clicks, the same corrected, and words."""

        def run(sample: ClipSample) -> ClipSample:
            return run_model(model, packed.inputs, sample)

        return _runs(packed, run, corrects=model.prompt_kinds >= _CORRECTION_KINDS)

    def baseline(self, packed: PackedClip) -> Answers:
        """Regions of the clicked colour in the clicked frame, which stay where they are."""

        def run(sample: ClipSample) -> ClipSample:
            sample.pred_tracks = color_tracks(packed.frames, sample)
            return sample

        return _runs(packed, run, corrects=True)


def _runs(
    packed: PackedClip, run: Callable[[ClipSample], ClipSample], *, corrects: bool
) -> dict[str, ClipSample]:
    first = run(without_predictions(packed.sample))
    answers = {MAIN: first}
    if corrects:
        corrected = with_corrections(first, len(packed.frames) // 2, MIN_AREA)
        answers[CORRECTED] = run(corrected)
    if TEXT in packed.asked and len(packed.asked[TEXT].prompts):
        answers[TEXT] = run(without_predictions(packed.asked[TEXT]))
    return answers
