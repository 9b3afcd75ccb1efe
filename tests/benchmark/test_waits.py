import pytest
import torch

from seg.benchmark import workloads
from seg.benchmark.waits import count_waits
from seg.structures import Task
from seg.testing.tiny_rapsam import model_for_programs, tiny_video_cfg

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
def test_a_panoptic_frame_waits_for_the_number_of_masks_and_for_its_segments():
    torch.manual_seed(0)
    model = model_for_programs(tiny_video_cfg()).eval()
    load = workloads.panoptic_workload(model, (64, 96), 1, 5)
    load.step(0)
    calls = count_waits(lambda: load.step(1))

    assert calls.total() == 2
    assert all(place.startswith('models/heads/panoptic_fusion.py:') for place in calls)
