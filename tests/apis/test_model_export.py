"""Exported networks: the wrappers say what the model says, and the files what the wrappers say."""

import shutil
import tempfile
from pathlib import Path

import pytest
import torch
from torch.utils._pytree import tree_leaves

from seg.apis.model_export import (
    deviations,
    export_part,
    loses_sight,
    run_onnx,
    write_aot_package,
    write_onnx,
    write_torch_export,
)
from seg.models.deployment import fuse
from seg.models.deployment.exportable import PromptDecoder
from seg.models.deployment.exportable_memory import FrameMemory, PropagationStep, StartingStep
from seg.models.heads.clip_frame import Frame
from seg.models.heads.clip_step import ClipStep
from seg.registry import MODELS
from seg.structures import ClipSample, Prompts, Task
from seg.testing.processes import in_fresh_interpreter
from seg.testing.tiny_rapsam import tiny_prompted_cfg, tiny_rapsam_cfg, tiny_video_cfg
from seg.utils.checks import UserError

SIZE = (64, 96)


def tiny(cfg):
    torch.manual_seed(0)
    model = MODELS.build(cfg).eval().requires_grad_(False)
    for name, parameter in model.named_parameters():
        if 'dcn' in name or 'offset_conv' in name or not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model


@pytest.fixture
def needs_onnx():
    pytest.importorskip('onnx', reason='the extra "export" is not installed: onnx')
    pytest.importorskip('onnxscript', reason='the extra "export" is not installed: onnxscript')
    pytest.importorskip('onnxruntime', reason='the extra "export" is not installed: onnxruntime')


@torch.no_grad()
def test_a_prompt_decoder_answers_as_the_model():
    model = tiny(tiny_prompted_cfg())
    part = export_part(model, 'prompts', SIZE, num_objects=2, num_points=2)
    points, labels = part.inputs[:2]
    labels[1:, 1] = 0
    logits, scores = part.network(*part.inputs)

    metainfo = dict(task=Task.INTERACTIVE_IMAGE, img_shape=SIZE, ori_shape=SIZE)
    sample = ClipSample(metainfo={**metainfo, 'batch_input_shape': SIZE})
    sample.prompts = Prompts.create(points=points[0], point_labels=labels[0])
    feats = [value.unsqueeze(1) for value in part.inputs[-2:]]
    asked = model.head.predict_prompts(*feats, [sample])[0].pred_prompted
    torch.testing.assert_close(logits[0], asked.low_res_logits[:, 0, 0])
    torch.testing.assert_close(scores[0], asked.iou_scores[:, 0])


@pytest.mark.parametrize('certain', [1e-6, 1.0], ids=['sure', 'unsure'])
@torch.no_grad()
def test_a_propagation_step_answers_as_a_session(certain):
    model = tiny(tiny_video_cfg())
    model.head.dual_path.certain = certain
    model.head.dual_path.margin = 0.0  # the second path would count
    memory, *feats = export_part(model, 'video', SIZE, num_objects=3).inputs
    state = memory.state()
    result = PropagationStep(model)(memory, *feats)

    frame = Frame(*(value.unsqueeze(1) for value in feats), SIZE, [SIZE])
    step = ClipStep(model.head, model.head.router.routes[Task.VOS])
    answer, (after,) = step([state], frame, [None])
    torch.testing.assert_close(result.mask_logits, answer.mask_logits[0])
    torch.testing.assert_close(result.scores, answer.scores[0])
    torch.testing.assert_close(result.last_masks, after.last_masks)
    torch.testing.assert_close(result.queries, after.queries)
    assert result.visible.any()
    torch.testing.assert_close(result.tokens, after.tokens[-1])
    torch.testing.assert_close(result.covers, after.covers[-1])


@torch.no_grad()
def test_a_memory_starts_as_in_a_session():
    model = tiny(tiny_video_cfg())
    feats = [torch.randn(1, 16, 16, 24), torch.randn(1, 16, 4, 6)]
    masks = torch.zeros(2, *SIZE)
    masks[0, 8:32, 16:48] = 1
    masks[1, 40:60, 50:90] = 1
    covers = torch.nn.functional.avg_pool2d(masks, 4)
    result = StartingStep(model)(covers, *feats)

    frame = Frame(*(value.unsqueeze(1) for value in feats), SIZE, [SIZE])
    step = ClipStep(model.head, model.head.router.routes[Task.VOS])
    empty = model.head.memory.start(frame.mask_features)
    _, (after,) = step([empty], frame, [Prompts.create(masks=masks)])
    assert result.visible.all()
    for name in ('last_key', 'last_masks', 'queries', 'score_shift'):
        torch.testing.assert_close(getattr(result, name), getattr(after, name))
    for name in ('keys', 'covers', 'tokens', 'quality'):
        torch.testing.assert_close(getattr(result, name), getattr(after, name)[0])


def test_another_model_has_no_parts():
    with pytest.raises(UserError, match='expected a RapSAM, got a Linear'):
        export_part(torch.nn.Linear(1, 1), 'encoder', SIZE)


def test_a_wrapper_leaves_the_head_of_the_model_alone():
    model = tiny(tiny_prompted_cfg())

    assert PromptDecoder(model).head.text_matcher is None
    assert model.head.text_matcher is not None


@pytest.mark.parametrize('faithful', [True, False])
def test_an_encoder_file_gives_the_features(needs_onnx, tmp_path, faithful):
    part = export_part(fuse(tiny(tiny_rapsam_cfg(faithful=faithful))), 'encoder', SIZE)
    write_onnx(part, tmp_path / 'new' / 'encoder.onnx')
    found = deviations(part, run_onnx(tmp_path / 'new' / 'encoder.onnx', part))

    assert set(found) == {'mask_features', 'context_feats'[: 0 if faithful else None]} - {''}
    assert max(found.values()) < 1e-4


def test_a_sharpener_file_gives_finer_masks(needs_onnx, tmp_path):
    model = tiny(tiny_prompted_cfg())
    part = export_part(model, 'sharpener', SIZE, num_objects=3)
    write_onnx(part, tmp_path / 'sharpener.onnx')
    (fine,) = run_onnx(tmp_path / 'sharpener.onnx', part)
    logits, features = part.inputs
    (sharpen,) = model.head.mask_upsampler.on(features.unsqueeze(1))

    assert fine.shape == (1, 3, 32, 48)
    torch.testing.assert_close(fine[0], sharpen(logits[0, :, None])[:, 0], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_prompt_file_gives_the_masks(needs_onnx, tmp_path):
    part = export_part(tiny(tiny_prompted_cfg(num_stages=1)), 'prompts', SIZE, num_objects=2)
    write_onnx(part, tmp_path / 'prompts.onnx')

    assert max(deviations(part, run_onnx(tmp_path / 'prompts.onnx', part)).values()) < 1e-3


@pytest.mark.slow
def test_an_object_file_gives_everything_in_the_picture(needs_onnx, tmp_path):
    part = export_part(tiny(tiny_rapsam_cfg()), 'objects', SIZE)
    write_onnx(part, tmp_path / 'objects.onnx')

    assert max(deviations(part, run_onnx(tmp_path / 'objects.onnx', part)).values()) < 1e-3


@pytest.mark.slow
def test_a_file_starts_a_memory(needs_onnx, tmp_path):
    part = export_part(tiny(tiny_video_cfg(num_stages=1)), 'start', SIZE, num_objects=2)
    write_onnx(part, tmp_path / 'start.onnx')

    assert part.output_names[1:3] == ('new_last_key', 'new_last_masks')
    assert max(deviations(part, run_onnx(tmp_path / 'start.onnx', part)).values()) < 1e-3


@pytest.mark.slow
def test_a_video_file_takes_memories_of_any_length(needs_onnx, tmp_path, monkeypatch):
    monkeypatch.setattr('seg.models.memory.pixel_pairs._GROUP', 2)  # as in large pictures
    model = tiny(tiny_video_cfg(num_stages=1))
    part = export_part(model, 'video', SIZE, num_objects=2)
    write_onnx(part, tmp_path / 'video.onnx')

    assert max(deviations(part, run_onnx(tmp_path / 'video.onnx', part)).values()) < 1e-3
    for kept in ([0, 2], [0]):
        state = part.inputs[0].state().keep_frames(torch.tensor(kept))
        inputs = (FrameMemory.of(state), *part.inputs[1:])
        shorter = run_onnx(tmp_path / 'video.onnx', part, inputs)
        with torch.no_grad():
            expected = part.network(*inputs)
        torch.testing.assert_close(shorter[0], expected.mask_logits, atol=1e-3, rtol=1e-3)


def test_a_program_of_torch_gives_the_features(tmp_path):
    part = export_part(tiny(tiny_rapsam_cfg()), 'encoder', SIZE)
    write_torch_export(part, tmp_path / 'encoder.pt2')
    loaded = torch.export.load(tmp_path / 'encoder.pt2').module()

    with torch.no_grad():
        assert max(deviations(part, loaded(*part.inputs)).values()) < 1e-4


@pytest.mark.slow
@pytest.mark.skipif(shutil.which('g++') is None, reason='no C++ compiler: apt install g++')
@torch.no_grad()
@in_fresh_interpreter
def test_a_package_compiled_ahead_gives_everything_in_the_picture():
    part = export_part(tiny(tiny_prompted_cfg()), 'objects', SIZE)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / 'new' / 'objects.pt2'
        write_aot_package(part, path)
        found = torch._inductor.aoti_load_package(str(path))(*part.inputs)
    torch.testing.assert_close(
        tree_leaves(found), tree_leaves(part.network(*part.inputs)), rtol=1e-4, atol=1e-4
    )


def test_a_package_needs_a_compiler(tmp_path, monkeypatch):
    def compile_nothing(*args, **kwargs):
        raise RuntimeError('no compiler\nat all')

    monkeypatch.setattr('torch._inductor.aoti_compile_and_package', compile_nothing)
    part = export_part(tiny(tiny_prompted_cfg()), 'objects', SIZE)
    with pytest.raises(UserError, match=r'aot: expected a part that compiles, got: no compiler; '):
        write_aot_package(part, tmp_path / 'objects.pt2')
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@torch.no_grad()
def test_a_program_of_torch_starts_a_memory(tmp_path):
    model = tiny(tiny_video_cfg(num_stages=1))
    part = export_part(model, 'start', SIZE, num_objects=2)
    write_torch_export(part, tmp_path / 'start.pt2')
    loaded = torch.export.load(tmp_path / 'start.pt2').module()

    assert max(deviations(part, loaded(*tree_leaves(part.inputs))).values()) < 1e-4
    with pytest.raises(UserError, match=r'part video: expected a part of fixed sizes.*onnx'):
        write_torch_export(export_part(model, 'video', SIZE), tmp_path / 'new' / 'video.pt2')
    assert not (tmp_path / 'new').exists()


@pytest.mark.parametrize(
    ('name', 'size', 'said'),
    [
        ('encoders', SIZE, "Did you mean 'encoder'"),
        ('encoder', (60, 96), 'use 64x96'),
        ('video', SIZE, 'part video: expected a model with a streaming memory'),
        ('start', SIZE, 'part start: expected a model with a streaming memory'),
        ('sharpener', SIZE, 'a model with head.mask_upsampler'),
    ],
)
def test_what_cannot_be_exported(name, size, said):
    with pytest.raises(UserError, match=said):
        export_part(tiny(tiny_rapsam_cfg()), name, size)


def test_pictures_that_are_too_small_for_the_memory():
    model = tiny(tiny_video_cfg())
    model.head.memory.reader.top_k = 1000

    with pytest.raises(UserError, match=r'at least 1000 cells of the memory, .*; use a larg'):
        export_part(model, 'video', SIZE)


def test_examples_out_of_sight_are_told():
    model = tiny(tiny_video_cfg())
    part = export_part(model, 'video', SIZE)
    assert not loses_sight(part)
    assert not loses_sight(export_part(model, 'encoder', SIZE))

    model.head.memory.visible_score = model.head.memory.return_score = 0.9999
    assert loses_sight(part)


def test_examples_are_the_same_every_time():
    model = tiny(tiny_video_cfg())
    state = torch.get_rng_state()
    one, other = (tree_leaves(export_part(model, 'video', SIZE).inputs) for _ in range(2))

    assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
    assert torch.equal(torch.get_rng_state(), state)


def test_what_the_exporter_fails_at_is_told_in_one_line(needs_onnx, monkeypatch, tmp_path):
    def fail(*args, **kwargs):
        raise torch.onnx.OnnxExporterError('step 2/3') from SyntaxError('forgot a comma\nat all')

    monkeypatch.setattr('torch.onnx.export', fail)
    part = export_part(tiny(tiny_rapsam_cfg()), 'encoder', SIZE)
    with pytest.raises(UserError, match=r'part encoder: .* takes, got: forgot a comma; try'):
        write_onnx(part, tmp_path / 'x.onnx')


def test_a_missing_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserError, match=r"onnx, got none; pip install 'rapsam\[export\]'"):
        write_onnx(export_part(tiny(tiny_rapsam_cfg()), 'encoder', SIZE), tmp_path / 'x.onnx')
