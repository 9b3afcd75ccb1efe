"""Objects followed from their first masks, on the report card."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from seg.apis.report.base import (
    MAIN,
    Answers,
    VideoReport,
    run_model,
    without_predictions,
)
from seg.apis.report.video_baselines import copy_first_masks
from seg.apis.shapes_clips import PackedClip
from seg.evaluation.metrics import DavisMetric, IdentityMetric
from seg.evaluation.metrics.clip_metric import ClipMetric
from seg.models.detectors.rapsam import FRAMES_AT_ONCE, ClipFeatures
from seg.structures import ClipSample, Task, TrackData

NO_MEMORY, NO_DPSR = 'no_memory', 'no_dpsr'
_IDENTITY_SCORES = (
    *('survival', 'survival_first_sight'),
    *('survival_crossing', 'survival_occlusion', 'survival_reappearance'),
    *('num_cases', 'num_reappearances'),
)


class VosReport(VideoReport):
    """J and F of objects given by their masks; without the memory and without DPSR as well."""

    name = 'vos'
    task = Task.VOS
    keys = (
        ('davis/J&F', 'J&F'),
        ('davis/J', 'J'),
        ('davis/F', 'F'),
        (f'{NO_MEMORY}/J&F', 'J&F_no_memory'),
        (f'{NO_DPSR}/J&F', 'J&F_no_dpsr'),
    )

    def prompt_kinds(self, model: Any) -> tuple[str, ...]:
        """Masks."""
        return ('mask',)

    def metrics(self) -> Mapping[str, Sequence[ClipMetric]]:
        """J and F of all runs."""
        return {
            MAIN: [DavisMetric()],
            **{run: [DavisMetric(prefix=run)] for run in (NO_MEMORY, NO_DPSR)},
        }

    def answers(self, model: Any, packed: PackedClip) -> Answers:
        """With the memory and without; by memory alone where the model has a second path."""
        return {
            MAIN: self.predict(model, packed),
            NO_MEMORY: answer_without_memory(model, packed),
            **answer_without_dpsr(model, packed),
        }

    def baseline(self, packed: PackedClip) -> Answers:
        """Objects stay where they were given; that is what every run is compared with."""
        sample = without_predictions(packed.sample)
        sample.pred_tracks = copy_first_masks(sample)
        return {MAIN: sample, NO_MEMORY: sample, NO_DPSR: sample}


class IdentityReport(VideoReport):
    """How many ids survive crossings and full occlusions; see :class:`IdentityMetric`.

    A clip has one such case or two, where other scores have hundreds of masks: more clips are
    scored, or one case more or less would be worth seven points.
    """

    name = 'identity'
    task = Task.VOS
    with_events = True
    clip_factor = 6
    keys = (
        *((f'identity/{name}', name) for name in _IDENTITY_SCORES),
        (f'{NO_DPSR}/survival', 'survival_no_dpsr'),
    )

    def prompt_kinds(self, model: Any) -> tuple[str, ...]:
        """Masks on the first frame that shows an object."""
        return ('mask',)

    def metrics(self) -> Mapping[str, Sequence[ClipMetric]]:
        """The share of ids that survive."""
        return {MAIN: [IdentityMetric()], NO_DPSR: [IdentityMetric(prefix=NO_DPSR)]}

    def answers(self, model: Any, packed: PackedClip) -> Answers:
        """As :class:`VosReport` without DPSR."""
        return {MAIN: self.predict(model, packed), **answer_without_dpsr(model, packed)}

    def baseline(self, packed: PackedClip) -> Answers:
        """Objects stay where they were given."""
        sample = without_predictions(packed.sample)
        sample.pred_tracks = copy_first_masks(sample)
        return {MAIN: sample, NO_DPSR: sample}


def answer_without_dpsr(model: Any, packed: PackedClip) -> Answers:
    """The same weights with nothing found anew; nothing for models without a second path."""
    head: Any = getattr(model, 'head', None)
    dual_path = getattr(head, 'dual_path', None)
    if dual_path is None:
        return {}
    head.dual_path = None
    try:
        return {NO_DPSR: run_model(model, packed.inputs, without_predictions(packed.sample))}
    finally:
        head.dual_path = dual_path


@torch.no_grad()
def answer_without_memory(model: Any, packed: PackedClip) -> ClipSample:
    """The same weights with nothing remembered: a clip is one long picture.

    What the prompts say about objects in one frame is looked for in all frames after it at once.
    Objects that appear later take what those before leave free.
    """
    answered = without_predictions(packed.sample)
    data = model.data_preprocessor({'inputs': [packed.inputs], 'data_samples': [answered]}, False)
    (sample,) = data['data_samples']
    masks, context = _features(model, data['inputs'])
    given = sample.prompts.frame_index
    id_maps = torch.zeros(packed.frames.shape[:3], dtype=torch.int32)
    for begin in sorted(set(given.tolist())):
        part = ClipSample(metainfo=sample.metainfo)
        rows = (given == begin).nonzero().flatten()
        part.prompts = replace(sample.prompts[rows], frame_index=torch.zeros_like(given[rows]))
        rest = ClipFeatures(masks[:, begin:], None if context is None else context[:, begin:])
        (found,) = model.head.predict(*rest, [part])
        free = id_maps[begin:] == 0
        id_maps[begin:][free] = found.pred_tracks.id_maps.cpu()[free]
    answered.pred_tracks = TrackData(
        id_maps, tuple(sorted(set(sample.prompts.object_ids.tolist())))
    )
    return answered


def _features(model: Any, clip: torch.Tensor) -> ClipFeatures:
    """Features of a whole clip (1, T, 3, H, W), computed some frames at a time."""
    parts = [model.extract_feat(frames) for frames in clip.split(FRAMES_AT_ONCE, dim=1)]
    contexts = [part.context_feats for part in parts if part.context_feats is not None]
    masks = torch.cat([part.mask_features for part in parts], dim=1)
    return ClipFeatures(masks, torch.cat(contexts, dim=1) if contexts else None)
