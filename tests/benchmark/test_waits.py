from dataclasses import replace
from typing import ClassVar

import pytest
import torch

from seg.benchmark import workloads
from seg.benchmark.waits import count_waits, waits_for_values
from seg.models.heads.panoptic_following import PanopticFollower
from seg.models.heads.panoptic_fusion import MOST_KEPT
from seg.registry import MODELS
from seg.structures import Task
from seg.testing.tiny_rapsam import (
    model_for_programs,
    tiny_prompted_cfg,
    tiny_video_cfg,
    toy_sample,
)
from seg.utils.devices import as_if_ahead

VALUES = torch.tensor([1.0, 0.0, 2.0])


@pytest.mark.parametrize(
    'call',
    [
        lambda: VALUES.tolist(),
        lambda: VALUES[0].item(),
        lambda: VALUES.cpu(),
        lambda: VALUES.to('cpu'),
        lambda: bool(VALUES.any()),
        lambda: float(VALUES[0]),
        lambda: VALUES.nonzero(),
        lambda: VALUES[VALUES > 0],
        lambda: torch.where(VALUES > 0),
        lambda: VALUES.repeat_interleave(VALUES.long()),
        lambda: torch.equal(VALUES, VALUES),
    ],
)
def test_what_needs_values_is_counted(call):
    calls = count_waits(call)
    assert calls.total() == 1
    assert next(iter(calls)).startswith('elsewhere '), 'no line of the package asked'


@pytest.mark.parametrize(
    'call',
    [
        lambda: VALUES + 1,
        lambda: VALUES[torch.tensor([0, 2])],
        lambda: VALUES[1:],
        lambda: torch.where(VALUES > 0, VALUES, -VALUES),
        lambda: VALUES.to(torch.float64),
        lambda: VALUES.repeat_interleave(2),
        lambda: len(VALUES),
        lambda: VALUES.shape,
    ],
)
def test_what_does_not_is_not(call):
    assert not count_waits(call)


def test_setting_chosen_elements_waits():
    values = VALUES.clone()

    def set_positive():
        values[values > 0] = 5.0

    assert count_waits(set_positive).total() == 1
    assert values.tolist() == [5, 0, 5]


@torch.inference_mode()
@pytest.mark.parametrize('task', [Task.VOS, Task.INTERACTIVE_VIDEO])
@pytest.mark.parametrize('num_objects', [1, 4])
def test_a_followed_frame_waits_for_its_answer_alone(task, num_objects):
    torch.manual_seed(0)
    model = model_for_programs(tiny_video_cfg()).eval()
    load = workloads.video_workload(model, (64, 96), num_objects, task)
    load.reset()
    for index in range(18):
        load.step(index)
    ((place, count),) = count_waits(lambda: load.step(18)).items()

    assert place.startswith('apis/frame_result.py:')
    assert place.endswith(' HostCopy.wait')
    assert count == 1


@torch.inference_mode()
def test_a_panoptic_frame_waits_for_its_answer_alone():
    torch.manual_seed(0)
    model = model_for_programs(tiny_video_cfg()).eval()
    load = workloads.panoptic_workload(model, (64, 96), 1, 5)
    load.reset()
    load.step(0)
    ((place, count),) = count_waits(lambda: load.step(1)).items()

    assert place.startswith('models/heads/panoptic_fusion.py:')
    assert place.endswith(' HostCopy.wait')
    assert count == 1


class OnDevice(torch.Tensor):
    """What is made of such tensors is such a tensor, and reading their values is noted."""

    reads: ClassVar[list[str]] = []

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        if waits_for_values(func, args, kwargs or {}):
            cls.reads.append(func.__name__)
        return super().__torch_function__(func, types, args, kwargs)


@torch.inference_mode()
@pytest.mark.parametrize('num_queries', [6, MOST_KEPT + 8])
def test_a_frame_of_a_panoptic_video_is_read_at_once(num_queries, monkeypatch):
    """Unless more queries are kept than were brought."""
    torch.manual_seed(0)
    fusion = dict(type='PanopticFusion', object_mask_thr=0.0, iou_thr=0.0)
    cfg = tiny_prompted_cfg(panoptic_tracker=dict(type='PanopticTracker'), fusion=fusion)
    cfg['head'].update(num_queries=num_queries)
    model = MODELS.build(cfg).eval()
    clip, sample = toy_sample('panoptic', num_frames=3)
    sample.set_metainfo(dict(batch_input_shape=(64, 64)))
    features = model.extract_feat(clip[None].float())
    route = model.head.router.routes[Task.PANOPTIC]

    def read(copy):
        OnDevice.reads.append('copy')
        return [tensor.as_subclass(torch.Tensor).numpy() for tensor in copy._tensors]

    usual = PanopticFollower(model.head, route, sample, keeps=False)
    ahead = PanopticFollower(model.head, route, sample, keeps=False)
    for t in range(3):
        frame = [None if part is None else part[:, t : t + 1] for part in features]
        expected = usual.step(*frame)
        kept = model.head.fusion.kept(model.head(*frame, route)[-1].class_logits[0])[0]
        on_device = [None if part is None else part.as_subclass(OnDevice) for part in frame]
        OnDevice.reads.clear()
        with as_if_ahead(), monkeypatch.context() as patch:
            patch.setattr('seg.utils.devices.HostCopy.wait', read)
            result = ahead.step(*on_device)
        assert len(kept) > 0
        assert OnDevice.reads == ['copy', *(['nonzero', 'copy'] if len(kept) > MOST_KEPT else [])]
        assert result.segment_map.equal(expected.segment_map)
        assert [replace(segment, score=0.0) for segment in result.segments] == [
            replace(segment, score=0.0) for segment in expected.segments
        ]
