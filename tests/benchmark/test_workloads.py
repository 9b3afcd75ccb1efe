"""Workloads, meters and measuring on tiny models; never a statement about time."""

import shutil
import time
import weakref
from contextlib import nullcontext
from types import SimpleNamespace
from unittest import mock

import pytest
import torch
from torch.nn import functional as F

from seg.benchmark import workloads
from seg.benchmark.agreement import agreement, as_plain
from seg.benchmark.machine import Roofline
from seg.benchmark.measuring import Plan, check_dtype, measure, telling_what_fits
from seg.benchmark.meters import MemoryMeter, Part, Stopwatch, count_cost
from seg.benchmark.peers import (
    mask2former_workload,
    peer_builders,
    plain_like,
    reference_workload,
)
from seg.benchmark.plain_fusion import plain_panoptic
from seg.benchmark.report import plot_parts, render, write_report
from seg.models.deployment import compile_parts, fuse
from seg.models.heads import PanopticFusion
from seg.registry import MODELS
from seg.structures import Task
from seg.testing.golden_files import load_golden
from seg.testing.processes import in_fresh_interpreter
from seg.testing.tiny_rapsam import tiny_prompted_cfg, tiny_rapsam_cfg, tiny_video_cfg, toy_sample
from seg.utils.checks import UserError
from seg.utils.freed_memory import release_memory

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
    results = [load.step(i) for i in range(2)]
    load.reset()
    results.append(load.step(0))

    assert [result.frame_index for result in results] == [0, 1, 0]
    assert all(result.masks.shape == (2, *SIZE) for result in results), 'the size of the frame'


def test_videos_are_gone_through_in_a_row():
    load = workloads.video_workload(tiny(tiny_video_cfg()), SIZE, 2, Task.VOS)
    results = list(load.in_a_row(18))
    row = measure(load, Plan(CPU, SIZE, frames=1), ROOFLINE)

    assert [result.frame_index for result in results] == list(range(18))
    assert results[0].object_ids.tolist() == [1, 2]
    assert row['frames_per_second_in_a_row'] > 0


def test_a_model_without_memory_follows_nothing():
    with pytest.raises(UserError, match='streaming memory'):
        workloads.check_memory(tiny(tiny_rapsam_cfg()), Task.VOS)


def test_every_figure_is_reported(panoptic, tmp_path, monkeypatch):
    result = measure(panoptic, Plan(CPU, SIZE, frames=1), ROOFLINE)

    assert {'preprocess', 'backbone', 'neck', 'decoder'} < set(result['parts'])
    assert result['gflops'] > 0
    assert result['moved_gib'] > 0
    assert any('panoptic_fusion.py' in place for place in result['waits'])
    machine = dict(name='x', device='cpu', threads=1, others=0.25)
    machine['roofline'] = dict(flops_per_second=1e9, bytes_per_second=1e9)
    report = dict(machine=machine, dtype='fp32', size=list(SIZE), results=[result], in_turns=[])
    settings = dict(batch=1, compiled=True, int8=False, graph=False, fused=False, gives_back=False)
    report.update(settings)
    write_report(report, tmp_path / 'new')
    assert {path.suffix for path in (tmp_path / 'new').iterdir()} == {'.json', '.md', '.png'}
    assert 'neck' in render(report)
    assert 'others kept 0.25 cores busy; fp32, 60x90, compiled, not fused; ' in render(report)

    before = (tmp_path / 'new' / 'report.png').read_bytes()

    def fail(*_, **__):
        raise OSError('disk full')

    monkeypatch.setattr('os.replace', fail)
    with pytest.raises(OSError, match='cannot write'):
        plot_parts(report['results'], tmp_path / 'new' / 'report.png', 'seconds')
    assert (tmp_path / 'new' / 'report.png').read_bytes() == before
    assert {path.suffix for path in (tmp_path / 'new').iterdir()} == {'.json', '.md', '.png'}


def test_methods_are_themselves_again_after_watching(panoptic):
    measure(panoptic, Plan(CPU, SIZE, frames=1), ROOFLINE)

    assert all(part.method not in vars(part.owner) for part in panoptic.parts)


def test_compiled_parts_are_watched_from_outside():
    model = tiny(tiny_rapsam_cfg())
    model.backbone._compiled_call_impl = compiled = model.backbone._call_impl
    load = workloads.panoptic_workload(model, SIZE, batch=1, num_kept=3)
    result = measure(load, Plan(CPU, SIZE, frames=1), ROOFLINE)

    assert result['parts']['backbone']['seconds'] > 0
    assert model.backbone._compiled_call_impl == compiled
    assert 'forward' not in vars(model.backbone)


@pytest.mark.slow
@torch.no_grad()
def test_mask2former_has_the_same_backbone():
    stages = dict(num_stages=4, out_indices=(0, 1, 2, 3))
    backbone = dict(type='mmdet.ResNet', depth=18, base_channels=8, **stages)
    load = mask2former_workload(SIZE, backbone, 3, CPU)
    trunk = next(part.owner for part in load.parts if part.name == 'backbone')

    assert trunk.layer4[0].conv1.out_channels == 64
    assert load.step(0).shape[1:] == SIZE
    with pytest.raises(UserError, match='with a ResNet, got mmpretrain'):
        mask2former_workload(SIZE, dict(backbone, type='mmpretrain.ConvNeXt'), 3, CPU)


@pytest.mark.slow
@torch.inference_mode()
@pytest.mark.parametrize('name', ['sam2_tiny', 'efficient_sam'])
def test_promptable_peers_answer_clicks_at_the_size_of_the_frame(name):
    if name == 'sam2_tiny':
        pytest.importorskip('transformers', reason="no transformers: pip install 'rapsam[sam3]'")
    load = peer_builders(None, 3, CPU, size=SIZE, backbone={}, num_objects=2)[name]()
    load.reset()
    watch = Stopwatch(CPU)
    with watch.watching(load.parts):
        answer = load.step(0)
    masks = answer if isinstance(answer, torch.Tensor) else torch.from_numpy(answer.masks)

    assert masks.dtype == torch.bool
    assert len(masks) == 2
    assert masks.shape[-2:] == SIZE
    assert set(watch.seconds) == {'preprocess', 'backbone', 'decoder'}


def test_the_largest_peer_is_the_published_one():
    load = peer_builders(None, 3, CPU, size=SIZE, backbone={}, num_objects=2)['sam_vit_b']()
    (encoder,) = (part.owner for part in load.parts if part.name == 'backbone')
    sizes = [sum(value.numel() for value in encoder.parameters()), len(encoder.blocks)]

    assert sizes == [89_670_912, 12]


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


@pytest.mark.parametrize(
    'error',
    [
        torch.OutOfMemoryError('no more'),
        MemoryError(),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    ],
)
def test_memory_that_runs_out_is_told_with_what_would_fit(error):
    def step(index):
        raise error

    load = workloads.Workload('big', step)
    plan = Plan(CPU, (1080, 1920), batch=2)
    said = r'big: out of memory at 1080x1920 .*does not fit either: nothing'
    with pytest.raises(UserError, match=said):
        measure(load, plan, ROOFLINE)
    said = r'use --batch 1 instead of 2, or --size 540x960, which takes about a quarter'
    with pytest.raises(UserError, match=said), telling_what_fits('big', (1080, 1920), 2):
        step(0)


@pytest.mark.parametrize(
    ('fitting', 'said'),
    [
        ((60, 90, 1, 4), 'use --batch 1, of which a step was tried and fits'),
        ((60, 90, 2, 1), 'use --objects 1, of which'),
        ((15, 22, 2, 4), 'use --size 15x22, of which'),
        ((0, 0, 0, 0), 'either: --batch 1, --objects 1, --size 30x45, --size 15x22, --size 7x11$'),
    ],
)
def test_what_fits_is_tried(fitting, said, monkeypatch):
    """Only the size, batch and number of objects that fit, or less of them, do."""
    model = tiny(tiny_rapsam_cfg())
    asked = []

    def keep_best(model, clip, num_kept):
        asked.append(num_kept)

    def predict(inputs, samples):
        height, width = samples[0].ori_shape
        tried = height, width, len(samples), asked[-1]
        if any(got > room for got, room in zip(tried, fitting, strict=True)):
            raise torch.OutOfMemoryError('no more')
        return []

    monkeypatch.setattr(workloads, 'keep_best', keep_best)
    monkeypatch.setattr(model, 'predict', predict)
    load = workloads.panoptic_workload(model, SIZE, batch=2, num_kept=4)
    with pytest.raises(UserError, match=said):
        measure(load, Plan(CPU, SIZE, batch=2), ROOFLINE)


@pytest.mark.parametrize('task', [Task.INTERACTIVE_IMAGE, Task.VOS])
def test_less_of_a_workload_is_one_of_the_same_kind(task):
    model = tiny(tiny_video_cfg())
    load = (
        workloads.video_workload(model, SIZE, 3, task)
        if task is Task.VOS
        else workloads.interactive_workload(model, SIZE, 3, 'both')
    )
    shapes = []
    for build in load.less.values():
        less = build()
        less.reset()
        shapes.append(less.step(0).masks.shape)

    assert list(load.less) == ['--objects 1', '--size 30x45', '--size 15x22', '--size 7x11']
    assert [shape[0] for shape in shapes] == [1, 3, 3, 3]
    assert [tuple(shape[-2:]) for shape in shapes] == [SIZE, (30, 45), (15, 22), (7, 11)]


def test_memory_of_the_failed_step_is_free_while_less_is_tried():
    alive = []

    class Big:
        """What a failed step held."""

    def step():
        big = Big()
        alive.append(weakref.ref(big))
        raise MemoryError

    def tried():
        assert alive[0]() is None
        return 'less fits'

    with pytest.raises(UserError, match='less fits'), telling_what_fits('a', SIZE, tried=tried):
        step()


def test_memory_that_really_runs_out():
    with (
        pytest.raises(UserError, match='a frame: out of memory at 60x90'),
        telling_what_fits('a frame', SIZE),
    ):
        torch.empty(1 << 60)


def test_other_errors_stay_what_they_are():
    with pytest.raises(RuntimeError, match='shapes'), telling_what_fits('a frame', SIZE):
        raise RuntimeError('shapes do not fit')


def test_a_meter_sees_memory_that_was_used_before():
    def work():
        torch.ones(1 << 24).add_(1)

    peaks = []
    for _ in range(2):
        release_memory()
        with MemoryMeter(CPU) as meter:
            for _ in range(20):
                work()
        peaks.append(meter.peak_bytes)

    assert min(peaks) > 0.8 * (1 << 26)


def test_half_precision_that_a_cpu_lacks():
    with pytest.raises(UserError, match='use bf16'):
        check_dtype(CPU, 'fp16')
    check_dtype(CPU, 'bf16')


def test_half_precision_that_a_gpu_only_emulates(monkeypatch):
    monkeypatch.setattr('torch.cuda.device', lambda device: nullcontext())
    monkeypatch.setattr('torch.cuda.is_bf16_supported', lambda including_emulation: False)
    with pytest.raises(UserError, match='has no bf16, got bf16'):
        check_dtype(torch.device('cuda', 1), 'bf16')


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

    assert sum(segment.is_thing for segment in ours.segments) > 1
    assert torch.equal(as_plain(ours, 5), plain)


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


def test_both_agree_on_a_drawn_frame_and_others_do_not(repository):
    golden, _ = load_golden(repository / 'tests' / 'data' / 'rapsam', 'public')
    plain = plain_like(golden.model, 18)
    found = agreement(fuse(golden.model), plain, SIZE)
    assert found['masks'] < 1e-4
    assert found['logits'] < 1e-4
    assert found['pixels'] > 0.999
    assert found['labels'] == 1
    assert found['segments'] > 1
    assert found['map'] > 0.999

    torch.nn.init.normal_(golden.model.head.object_queries.weight)
    other = agreement(golden.model, plain, SIZE)
    assert other['masks'] > 0.1
    assert other['pixels'] < 0.99
    assert other['map'] < 0.99


def test_the_plain_baseline_needs_published_parts():
    model = tiny(tiny_rapsam_cfg())
    with pytest.raises(UserError, match='published parts'):
        plain_like(fuse(model), 18)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='no C++ compiler: apt install g++')
@torch.no_grad()
@in_fresh_interpreter
def test_compiled_parts_answer_alike_and_leave_other_sizes_and_prompts_alone():
    model = fuse(tiny(tiny_prompted_cfg()))
    clip, sample = toy_sample('interactive_image')
    batch = {'inputs': [clip], 'data_samples': [sample]}
    inputs, smaller = torch.randn(1, 1, 3, 64, 96), torch.randn(1, 1, 3, 64, 64)
    others = model(smaller, mode='tensor')[-1]
    expected = model(inputs, mode='tensor')[-1]
    (prompted,) = model.test_step(batch)
    masks = prompted.pred_prompted.masks
    assert compile_parts(model, inputs)
    graphs = torch._dynamo.utils.counters['stats']['unique_graphs']
    with torch.inference_mode():
        found = model(inputs.clone(), mode='tensor')[-1]

    assert graphs >= len(model.head.stages) + 3
    torch.testing.assert_close(found.mask_logits, expected.mask_logits, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.class_logits, expected.class_logits, rtol=1e-4, atol=1e-4)
    assert model(smaller, mode='tensor')[-1].mask_logits.equal(others.mask_logits)
    assert model.test_step(batch)[0].pred_prompted.masks.equal(masks)
    assert torch._dynamo.utils.counters['stats']['unique_graphs'] == graphs, 'compiled anew'


@torch.no_grad()
@in_fresh_interpreter
def test_nothing_is_compiled_after_the_warm_up():
    """Whatever else a program is compiled for goes the usual way."""
    model, inputs = tiny(tiny_rapsam_cfg()), torch.randn(1, 1, 3, 64, 96)
    compiled, usual_compile = [], torch.nn.Module.compile

    def compile_here(part, **settings):
        usual_compile(part, **settings, backend=count_graphs)

    def count_graphs(graph, example):
        compiled.append(graph)
        return graph.forward

    with mock.patch.object(torch.nn.Module, 'compile', compile_here):
        assert compile_parts(model, inputs)
    count, threads = len(compiled), torch.get_num_threads()
    assert count >= len(model.head.stages) + 3

    expected = model(inputs, mode='tensor')[-1].mask_logits
    with torch.inference_mode():
        model(inputs.clone(), mode='tensor')
    with torch.autocast('cpu', torch.bfloat16):
        model(inputs, mode='tensor')
    with torch.enable_grad():
        model(inputs, mode='tensor')
    frames = torch.randn(1, 3, 3, 64, 96)
    model(frames[:, :1], mode='tensor')
    model(frames, mode='tensor')
    try:
        torch.set_num_threads(threads + 1)
        other = model(inputs, mode='tensor')[-1].mask_logits
    finally:
        torch.set_num_threads(threads)
    assert len(compiled) == count
    torch.testing.assert_close(other, expected, rtol=1e-4, atol=1e-4)


def test_memory_that_runs_out_while_compiling_is_no_missing_compiler(monkeypatch):
    model = tiny(tiny_rapsam_cfg())

    def run_out(part, **settings):
        part._compiled_call_impl = out_of_memory

    monkeypatch.setattr(torch.nn.Module, 'compile', run_out)
    with (
        pytest.raises(UserError, match='a model: out of memory at 60x90'),
        telling_what_fits('a model', SIZE),
    ):
        compile_parts(model, torch.zeros(1, 1, 3, 32, 32), allow_fallback=True)
    assert model.backbone._compiled_call_impl is None


def out_of_memory(*args, **kwargs):
    raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ...")


def broken(*args, **kwargs):
    raise RuntimeError('no compiler\nat all')


def test_a_part_that_does_not_compile(monkeypatch, caplog):
    model, inputs = tiny(tiny_rapsam_cfg()), torch.zeros(1, 1, 3, 32, 32)
    calls = []

    def compile_to_nothing(part, **settings):
        part._compiled_call_impl = broken
        calls.append(settings)

    monkeypatch.setattr(torch.nn.Module, 'compile', compile_to_nothing)

    with pytest.raises(UserError, match=r'backbone to compile, got: no compiler;.*do without'):
        compile_parts(model, inputs)
    assert not compile_parts(model, inputs, allow_fallback=True)
    assert 'stays uncompiled: no compiler' in caplog.text
    assert all(call == dict(fullgraph=True, dynamic=False) for call in calls)
    assert model.backbone._compiled_call_impl is None
