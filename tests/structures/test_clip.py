"""Samples carry what they are given, typed, and move with it."""

import pytest
import torch
from mmengine.structures import InstanceData

from seg.structures import ClipSample, PanopticData, Prompts, Segment, Task


def _sample() -> ClipSample:
    sample = ClipSample(metainfo={'task': 'panoptic', 'ori_shape': (4, 5)})
    sample.gt_segments = InstanceData(masks=torch.zeros(2, 1, 4, 5, dtype=torch.bool))
    sample.prompts = Prompts.create(points=torch.zeros(2, 1, 2))
    sample.pred_panoptic = PanopticData(
        torch.ones(1, 4, 5, dtype=torch.int32), [Segment(1, 0, True, 0.5)]
    )
    return sample


def test_fields_are_found_by_name_in_a_dict() -> None:
    assert {'task', 'ori_shape', 'gt_segments', 'prompts', 'pred_panoptic'} <= set(
        _sample().to_dict()
    )


def test_everything_moves_with_the_sample() -> None:
    moved = _sample().to('meta')

    assert moved.gt_segments.masks.is_meta
    assert moved.prompts.object_ids.is_meta
    assert moved.pred_panoptic.segment_map.is_meta
    assert moved.pred_panoptic.segments == [Segment(1, 0, True, 0.5)]


def test_a_field_of_another_type_is_refused() -> None:
    with pytest.raises(AssertionError, match='InstanceData'):
        ClipSample().gt_segments = torch.zeros(1)


def test_a_field_can_be_removed() -> None:
    sample = _sample()
    del sample.prompts

    assert 'prompts' not in sample


def test_the_task_is_declared() -> None:
    assert _sample().declared_task is Task.PANOPTIC


def test_a_sample_without_a_task_is_refused() -> None:
    with pytest.raises(ValueError, match='task: expected every sample to declare its task'):
        _ = ClipSample().declared_task
