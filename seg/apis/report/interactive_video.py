"""Objects pointed at in videos, on the report card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from seg.apis.report.base import MAIN, Answers, VideoReport, run_model, without_predictions
from seg.apis.report.color_baseline import color_tracks
from seg.apis.shapes_clips import MIN_AREA, PackedClip
from seg.apis.video_predictor import VideoPredictor
from seg.evaluation.clip_corrections import correction_clicks, with_clicks
from seg.evaluation.functional.clicks import Click
from seg.evaluation.metrics import DavisMetric
from seg.evaluation.metrics.clip_metric import ClipMetric
from seg.structures import ClipSample, Task, TrackData
from seg.visualization.layers import prompts_on_image

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
        answers = {MAIN: self.predict(model, packed)}
        if model.prompt_kinds >= _CORRECTION_KINDS:
            clicks = correction_clicks(answers[MAIN], _middle(packed), MIN_AREA)
            answers[CORRECTED] = follow_corrected(model, packed, clicks, _middle(packed))
        if _has_words(packed):
            sample = without_predictions(packed.asked[TEXT])
            answers[TEXT] = run_model(model, packed.inputs, sample)
        return answers

    def baseline(self, packed: PackedClip) -> Answers:
        """Regions of the clicked colour in the clicked frame, which stay where they are."""
        first = without_predictions(packed.sample)
        first.pred_tracks = color_tracks(packed.frames, first)
        clicks = correction_clicks(first, _middle(packed), MIN_AREA)
        corrected = with_clicks(first, clicks, _middle(packed))
        corrected.pred_tracks = color_tracks(packed.frames, corrected)
        answers = {MAIN: first, CORRECTED: corrected}
        if _has_words(packed):
            answers[TEXT] = without_predictions(packed.asked[TEXT])
            answers[TEXT].pred_tracks = color_tracks(packed.frames, answers[TEXT])
        return answers


def follow_corrected(
    model: Any, packed: PackedClip, clicks: Mapping[int, Click], frame: int
) -> ClipSample:
    """The clip as a user of :class:`~seg.apis.VideoPredictor` follows and corrects it.

    Args:
        model: With a memory.
        packed: The clip.
        clicks: A correction of each object, by id, in pixels of the clip.
        frame: Where they are made.
    """
    sample = without_predictions(packed.sample)
    session = VideoPredictor(model).start(*packed.image.shape[:2], task=Task.INTERACTIVE_VIDEO)
    session.add_rows(prompts_on_image(sample))
    maps = []
    for index, image in enumerate(packed.frames):
        result = session.step(image)
        for object_id, click in clicks.items() if index == frame else ():
            result = session.correct(
                object_id, points=[[click.x, click.y]], point_labels=[int(click.is_positive)]
            )
        maps.append(result.id_map)
    ids = sorted(set(sample.prompts.object_ids.tolist()))
    sample.pred_tracks = TrackData.of_frames(maps, ids)
    return sample


def _middle(packed: PackedClip) -> int:
    return len(packed.frames) // 2


def _has_words(packed: PackedClip) -> bool:
    return TEXT in packed.asked and len(packed.asked[TEXT].prompts) > 0
