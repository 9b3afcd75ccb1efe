"""What the report card says of videos, from predictions; all scores in percent."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from seg.evaluation.metrics import (
    DavisMetric,
    IdentityMetric,
    StqMetric,
    VpqMetric,
    YoutubeVisMetric,
)
from seg.evaluation.metrics.clip_metric import ClipMetric
from seg.structures import ClipSample


def score_clips(
    metric: ClipMetric, samples: Iterable[ClipSample], dataset_meta: Mapping[str, Any] | None = None
) -> dict[str, float]:
    """Scores of a registered metric over clips, which are looked at one after the other.

    Args:
        metric: The metric, new.
        samples: With predictions and ground truth.
        dataset_meta: What the metric reads of the data set.

    Raises:
        ValueError: If there is no clip, or what the metric reads is missing.
    """
    metric.dataset_meta = dict(dataset_meta or {})
    number = 0
    for sample in samples:
        metric.process(None, [sample.to_dict()])
        number += 1
    return metric.evaluate(number)


def vos_scores(
    samples: Iterable[ClipSample], without_memory: Iterable[ClipSample] | None = None
) -> dict[str, float]:
    """``J&F``, ``J`` and ``F`` of objects followed from their first masks.

    Args:
        samples: With ``pred_tracks``.
        without_memory: The same clips with the memory switched off, for ``J&F_no_memory``.
    """
    scores = score_clips(DavisMetric(), samples)
    named = {name: scores[f'davis/{name}'] for name in ('J&F', 'J', 'F')}
    if without_memory is not None:
        named['J&F_no_memory'] = score_clips(DavisMetric(), without_memory)['davis/J&F']
    return named


def interactive_video_scores(
    one_click: Iterable[ClipSample],
    corrected: Iterable[ClipSample] | None = None,
    text: Iterable[ClipSample] | None = None,
) -> dict[str, float]:
    """``J&F@1click``, ``J&F_corrected`` and ``text_J&F`` of objects that were pointed at.

    Each is scored from the frame after its first prompt on, so that a correction is compared over
    the frames of the click it corrects.

    Args:
        one_click: Clips with ``pred_tracks`` from one click per object.
        corrected: The same with one more click in the middle of the clip.
        text: Clips whose objects were named by expressions.
    """
    runs = {'J&F@1click': one_click, 'J&F_corrected': corrected, 'text_J&F': text}
    return {
        name: score_clips(DavisMetric(), samples)['davis/J&F']
        for name, samples in runs.items()
        if samples is not None
    }


def vis_scores(samples: Iterable[ClipSample], dataset_meta: Mapping[str, Any]) -> dict[str, float]:
    """``AP`` of video instances.

    Args:
        samples: With ``pred_tubes``.
        dataset_meta: ``classes`` and ``num_things``.
    """
    return {'AP': score_clips(YoutubeVisMetric(), samples, dataset_meta)['youtube_vis/AP']}


def video_panoptic_scores(
    samples: Iterable[ClipSample], dataset_meta: Mapping[str, Any]
) -> dict[str, float]:
    """``VPQ`` and ``STQ`` of panoptic clips.

    Args:
        samples: With ``pred_panoptic`` whose ids stay the same over a clip.
        dataset_meta: ``classes`` and ``num_things``.
    """
    vpq, stq = VpqMetric(), StqMetric()
    stq.dataset_meta = dict(dataset_meta)

    def both() -> Iterable[ClipSample]:
        for sample in samples:
            stq.process(None, [sample.to_dict()])
            yield sample

    scores = score_clips(vpq, both(), dataset_meta)
    return {'VPQ': scores['vpq/VPQ'], 'STQ': stq.evaluate(0)['stq/STQ']}


def identity_scores(samples: Iterable[ClipSample]) -> dict[str, float]:
    """How often ids survive crossings and full occlusions; see :class:`IdentityMetric`.

    Args:
        samples: With ``pred_tracks``, of :class:`~seg.datasets.ShapesEventsDataset`.
    """
    scores = score_clips(IdentityMetric(), samples)
    return {name.removeprefix('identity/'): value for name, value in scores.items()}
