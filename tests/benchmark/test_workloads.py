"""Workloads, meters and measuring on tiny models; never a statement about time."""

import time
from types import SimpleNamespace

import pytest
import torch
from torch.nn import functional as F

from seg.benchmark import workloads
from seg.benchmark.machine import Roofline
from seg.benchmark.measuring import Plan, check_dtype, measure
from seg.benchmark.meters import Part, Stopwatch, count_cost
from seg.benchmark.peers import plain_like, reference_workload
from seg.benchmark.plain_fusion import plain_panoptic
from seg.benchmark.report import render, write_report
from seg.models.deployment import compile_parts, fuse
from seg.models.heads import PanopticFusion
from seg.registry import MODELS
from seg.structures import Task
from seg.testing.golden_files import load_golden
from seg.testing.tiny_rapsam import tiny_prompted_cfg, tiny_rapsam_cfg, tiny_video_cfg
from seg.utils.checks import UserError

CPU = torch.device('cpu')
SIZE = (60, 90)  # no multiples of 32
ROOFLINE = Roofline(1e9, 1e9)


def tiny(cfg):
    torch.manual_seed(0)
    return MODELS.build(cfg).eval().requires_grad_(False)


@pytest.fixture
def panoptic():
    return workloads.panoptic_workload(tiny(tiny_rapsam_cfg()), SIZE, batch=2, num_kept=3)


def test_panoptic_masks_have_the_size_of_the_frame(panoptic):
    with torch.inference_mode():
        found = panoptic.step(0)

    assert len(found) == 2
    assert all(masks.dtype == torch.bool and masks.shape[1:] == SIZE for masks in found)


@pytest.mark.parametrize('work', ['encode', 'click', 'both'])
def test_clicks(work):
    load = workloads.interactive_workload(tiny(tiny_prompted_cfg()), SIZE, 2, work)
    load.reset()
    answer = load.step(0)

    if work == 'encode':
        assert answer is None
    else:
        assert answer.masks.shape == (2, 1, *SIZE)


def test_frames_of_one_size_are_encoded_at_another():
    model = tiny(tiny_prompted_cfg())
    seen = []
    model.data_preprocessor.register_forward_hook(
        lambda module, inputs, output: seen.append(tuple(output['inputs'].shape[-2:]))
    )
    load = workloads.interactive_workload(model, (64, 128), 1, 'both', encoded=(32, 64))
    load.reset()

    assert load.step(0).masks.shape == (1, 1, 64, 128), 'masks are as large as the frame'
    assert set(seen) == {(32, 64)}


@pytest.mark.parametrize('task', [Task.VOS, Task.INTERACTIVE_VIDEO])
def test_videos_begin_anew_after_a_reset(task):
    load = workloads.video_workload(tiny(tiny_video_cfg()), SIZE, 2, task)
    load.reset()
    indices = [load.step(i).frame_index for i in range(2)]
    load.reset()

    assert [*indices, load.step(0).frame_index] == [0, 1, 0]


def test_a_model_without_memory_follows_nothing():
    with pytest.raises(UserError, match='streaming memory'):
        workloads.check_memory(tiny(tiny_rapsam_cfg()), Task.VOS)


def test_every_figure_is_reported(panoptic, tmp_path):
    result = measure(panoptic, Plan(CPU, frames=1), ROOFLINE)

    assert {'preprocess', 'backbone', 'neck', 'decoder'} < set(result['parts'])
    assert result['gflops'] > 0
    assert result['moved_gib'] > 0
    machine = dict(name='x', device='cpu', threads=1, load=0.0)
    machine['roofline'] = dict(flops_per_second=1e9, bytes_per_second=1e9)
    report = dict(machine=machine, dtype='fp32', size=list(SIZE), results=[result])
    write_report(report, tmp_path / 'new')
    assert {path.suffix for path in (tmp_path / 'new').iterdir()} == {'.json', '.md', '.png'}
    assert 'neck' in render(report)


def test_methods_are_themselves_again_after_watching(panoptic):
    measure(panoptic, Plan(CPU, frames=1), ROOFLINE)

    assert all(part.method not in vars(part.owner) for part in panoptic.parts)


def test_time_of_inner_parts_is_not_counted_twice():
    inner = SimpleNamespace(work=lambda: time.sleep(0.02))
    outer = SimpleNamespace(work=lambda: inner.work())
    watch = Stopwatch(CPU)
    with watch.watching([Part('outer', outer, 'work'), Part('inner', inner, 'work')]):
        outer.work()

    assert set(watch.seconds) == {'inner', 'outer'}
    assert watch.seconds['inner'] >= 0.02  # slept
    assert watch._inner == []


def test_operations_of_a_convolution():
    x, weight = torch.randn(1, 3, 8, 8), torch.randn(4, 3, 3, 3)
    cost = count_cost(lambda: F.conv2d(x, weight))

    assert cost.flops == 2 * 36 * 4 * 27
    assert cost.moved_bytes == 4 * (x.numel() + weight.numel() + 4 * 36)


def test_memory_that_runs_out_is_told_with_what_would_fit():
    def step(index):
        raise torch.OutOfMemoryError('no more')

    load = workloads.Workload('big', step)
    with pytest.raises(UserError, match=r'big: out of memory.*--size'):
        measure(load, Plan(CPU), ROOFLINE)


def test_half_precision_that_a_cpu_lacks():
    with pytest.raises(UserError, match='use bf16'):
        check_dtype(CPU, 'fp16')
    check_dtype(CPU, 'bf16')


def test_about_as_many_queries_are_kept_as_asked_for():
    logits = torch.randn(50, 6)
    threshold = workloads.threshold_for(logits, 7)

    assert len(PanopticFusion(3, 2, object_mask_thr=threshold).kept(logits)[0]) == 7
    assert workloads.threshold_for(logits, 1000) == 0.0


def test_the_plain_fusion_and_ours_agree():
    fusion = PanopticFusion(3, 2, object_mask_thr=0.3, iou_thr=0.1)
    masks = F.avg_pool2d(torch.randn(9, 1, 20, 28), 5, 1) * 9
    logits = 3 * torch.randn(9, 6)
    sizes = dict(canvas=(64, 96), img_shape=SIZE, ori_shape=(70, 101))
    plain = plain_panoptic(
        logits, masks[:, 0], num_things=3, object_mask_thr=0.3, iou_thr=0.1, **sizes
    )
    index, scores, labels = fusion.kept(logits)
    ours = fusion.panoptic(masks[index], scores, labels, {**sizes, 'sharpen': None})

    assert len(ours.segments) > 1
    classes = torch.tensor([5, *(segment.label for segment in ours.segments)])
    assert torch.equal(classes[ours.segment_map[0].long()], plain % 1000)


def test_the_plain_baseline_takes_the_weights_of_a_published_model(repository):
    golden, _ = load_golden(repository / 'tests' / 'data' / 'rapsam', 'public')
    plain = plain_like(golden.model, 18)
    load = reference_workload(plain, SIZE, num_things=8, num_kept=3)
    inputs = plain.preprocess(torch.randint(0, 256, (3, *SIZE)))
    ours = fuse(golden.model)(inputs[None], mode='tensor')[-1]
    theirs = plain(inputs)[-1]

    assert load.step(0).shape[1:] == SIZE
    spread = theirs.mask_logits.abs().max()
    assert (ours.mask_logits[:, :, 0] - theirs.mask_logits).abs().max() < 1e-4 * spread


def test_the_plain_baseline_needs_published_parts():
    model = tiny(tiny_rapsam_cfg())
    with pytest.raises(UserError, match='published parts'):
        plain_like(fuse(model), 18)


def broken(*args, **kwargs):
    raise RuntimeError('no compiler\nat all')


def test_a_part_that_does_not_compile(monkeypatch, caplog):
    model, inputs = tiny(tiny_rapsam_cfg()), torch.zeros(1, 1, 3, 32, 32)
    calls = []

    def compile_to_nothing(part, **settings):
        part._compiled_call_impl = broken
        calls.append(settings)

    monkeypatch.setattr(torch.nn.Module, 'compile', compile_to_nothing)

    with pytest.raises(UserError, match=r'backbone to compile, got: no compiler;.*allow'):
        compile_parts(model, inputs)
    assert not compile_parts(model, inputs, allow_fallback=True)
    assert 'stays uncompiled: no compiler' in caplog.text
    assert all(call == dict(fullgraph=True, dynamic=False) for call in calls)
    assert model.backbone._compiled_call_impl is None
