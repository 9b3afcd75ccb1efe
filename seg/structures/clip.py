"""One clip with its ground truth, prompts and predictions; an image is a clip of one frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from mmengine.structures import BaseDataElement, InstanceData
from torch import Tensor

from seg.structures.prompts import Prompts
from seg.structures.task import Task
from seg.structures.tracks import TrackData


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map.

    Attributes:
        id: Value of its pixels in the map, >= 1.
        label: Contiguous class index, things first.
        is_thing: Whether the class is countable.
        score: Confidence in [0, 1].
    """

    id: int
    label: int
    is_thing: bool
    score: float


@dataclass(frozen=True)
class PanopticData:
    """A panoptic prediction for T frames.

    Attributes:
        segment_map: Segment id of each pixel, 0 for void, (T, H, W), int32.
        segments: What the ids stand for.
    """

    segment_map: Tensor
    segments: list[Segment] = field(default_factory=list)

    def to(self, *args: Any, **kwargs: Any) -> PanopticData:
        """A copy whose map is moved as ``Tensor.to`` says; ``ClipSample.to`` calls it."""
        return replace(self, segment_map=self.segment_map.to(*args, **kwargs))


def _typed_field(name: str, kind: type, doc: str) -> property:
    """A property of :class:`ClipSample` that refuses values of another type."""

    def get(self: ClipSample) -> Any:
        return getattr(self, f'_{name}')

    def put(self: ClipSample, value: Any) -> None:
        self.set_field(value, f'_{name}', dtype=kind)

    def drop(self: ClipSample) -> None:
        delattr(self, f'_{name}')

    return property(get, put, drop, doc)


class ClipSample(BaseDataElement):
    """Annotations and predictions of one clip.

    Metainfo: ``task``, ``img_shape`` and ``ori_shape`` (H, W), ``batch_input_shape``, ``img_id``,
    ``img_path``, ``dataset_name``. Ground truth is at the size of the clip in training and at
    ``ori_shape`` in evaluation; predictions are always at ``ori_shape``.
    """

    gt_segments = _typed_field(
        'gt_segments',
        InstanceData,
        'Ground truth: masks (N, T, H, W) bool, labels (N,), object_ids (N,), is_crowd (N,).',
    )
    prompts = _typed_field('prompts', Prompts, 'Prompts in pixels of the clip.')
    pred_panoptic = _typed_field('pred_panoptic', PanopticData, 'Predicted panoptic map.')
    pred_instances = _typed_field(
        'pred_instances',
        InstanceData,
        'Predicted instances: masks (N, T, H, W) bool, labels (N,), scores (N,), bboxes (N, 4).',
    )
    pred_prompted = _typed_field(
        'pred_prompted',
        InstanceData,
        'Masks of prompted objects, best first: object_ids (N,), masks (N, M, T, H, W) bool, '
        'iou_scores (N, M).',
    )
    pred_tracks = _typed_field('pred_tracks', TrackData, 'Objects followed through the clip.')
    pred_tubes = _typed_field('pred_tubes', list, 'Predicted tubes of video instances, `Tube`s.')

    @property
    def declared_task(self) -> Task:
        """The task that the sample declares in its metainfo.

        Raises:
            ValueError: If it declares none.
        """
        declared = self.get('task')
        if declared is None:
            raise ValueError(
                'task: expected every sample to declare its task, got a sample without one; '
                "set task='panoptic' (or another) on the data set"
            )
        return Task.parse(declared)
