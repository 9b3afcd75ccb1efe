"""What the export tool writes, and what it refuses before it loads anything."""

import importlib.util
import json
import math

import pytest


@pytest.mark.parametrize(
    ('arguments', 'said'),
    [
        (('--size', '40'), 'expected HxW such as'),
        (('--objects', '0'), 'expected a whole number >= 1'),
        (('--size', '²x32'), 'expected HxW such as'),
        (('--tolerance', '-1'), '--tolerance: expected a number above 0, such as 1e-3, got -1'),
        (('--tolerance', 'inf'), '--tolerance: expected a number above 0, such as 1e-3, got inf'),
        (('--size', '40x64'), 'size: expected multiples of 32, got 40x64; use 64x64'),
        (
            ('--format', 'torch', '--parts', 'sharpener', 'video'),
            'part video: expected a part of fixed sizes',
        ),
    ],
)
def test_what_does_not_fit_is_told_in_one_line(run_tool, tmp_path, arguments, said):
    code, _, err = run_tool('export', 'config.py', 'weights.pth', tmp_path / 'out', *arguments)

    assert code == 2
    assert said in err
    assert not (tmp_path / 'out').exists()


def export_sharpener(run_tool, repository, out, *more):
    """The smallest part of the embedded model."""
    config = repository / 'configs/rap_sam/rap_sam_nano_shapes.py'
    weights = repository / 'seg/assets/rap_sam_nano_shapes.safetensors'
    plan = (config, weights, out, '--parts', 'sharpener', '--size', '32x64', '--json')
    code, printed, err = run_tool('export', *plan, *more)
    return code, printed, err


def test_a_part_is_written_and_compared(run_tool, repository, tmp_path):
    pytest.importorskip('onnxruntime')
    code, printed, err = export_sharpener(run_tool, repository, tmp_path)

    assert code == 0, err
    report = json.loads(printed.splitlines()[-1])
    (row,) = report['files']
    assert (row['part'], row['kept'], report['failed']) == ('sharpener', True, 0)
    assert 0 < row['deviations']['fine_logits'] < 1e-3
    path = tmp_path / 'sharpener.onnx'
    assert row['file'] == str(path)
    assert row['mb'] == path.stat().st_size / 1e6
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_a_program_of_torch_is_run_and_compared(run_tool, repository, tmp_path):
    code, printed, err = export_sharpener(run_tool, repository, tmp_path, '--format', 'torch')

    assert code == 0, err
    (row,) = json.loads(printed.splitlines()[-1])['files']
    assert row['deviations']['fine_logits'] < 1e-5
    assert [found.name for found in tmp_path.iterdir()] == ['sharpener.pt2']


def test_what_differs_too_much_replaces_nothing(run_tool, repository, tmp_path):
    pytest.importorskip('onnxruntime')
    (tmp_path / 'sharpener.onnx').write_bytes(b'from before')
    code, printed, _ = export_sharpener(run_tool, repository, tmp_path, '--tolerance', '1e-20')

    assert code == 1
    assert 'OFF, not kept' in printed
    report = json.loads(printed.splitlines()[-1])
    assert (report['failed'], report['files'][0]['kept']) == (1, False)
    assert (tmp_path / 'sharpener.onnx').read_bytes() == b'from before'
    assert [found.name for found in tmp_path.iterdir()] == ['sharpener.onnx']


def test_a_folder_in_the_place_of_a_file_is_told_before_anything(run_tool, tmp_path):
    (tmp_path / 'encoder.onnx').mkdir()
    code, _, err = run_tool('export', 'config.py', 'weights.pth', tmp_path)

    assert code == 2
    assert 'expected a file, got a folder' in err


def test_too_little_memory_is_told_with_the_size(run_tool, repository, tmp_path, monkeypatch):
    from seg.apis import model_export

    def no_room(*args, **kwargs):
        raise MemoryError('no room')

    monkeypatch.setattr(model_export, 'export_part', no_room)
    code, _, err = export_sharpener(run_tool, repository, tmp_path)

    assert code == 2
    assert 'part sharpener: out of memory at 32x64' in err


def test_a_deviation_that_is_no_number_is_the_worst(repository):
    spec = importlib.util.spec_from_file_location('export', repository / 'tools/export.py')
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)

    assert math.isnan(tool._worst({'a': 0.1, 'b': math.nan, 'c': 0.2}))
    assert tool._worst({'a': 0.1, 'b': 0.3, 'c': 0.2}) == 0.3
    assert tool._worst({}) == 0
