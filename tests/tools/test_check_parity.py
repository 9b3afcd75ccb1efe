"""The parity tool on the public goldens, and on goldens of other sizes."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from seg.testing.golden_files import load_golden

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'check_parity.py'
GOLDENS = Path(__file__).parents[1] / 'data' / 'rapsam'
EFFICIENT_SAM = Path(__file__).parents[1] / 'data' / 'efficient_sam'
INPUTS = ('prompt_boxes', 'prompt_labels', 'net_image')


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool in this process: exit code, standard output, standard error."""

    def run_tool(folder, case):
        arguments = [str(TOOL), '--fixtures', str(folder), '--case', case]
        monkeypatch.setattr('sys.argv', arguments)
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(TOOL), run_name='__main__')
        return stop.value.code, *capsys.readouterr()

    return run_tool


@pytest.fixture
def public():
    """Case "public": the entry of names.json and the arrays."""
    with np.load(GOLDENS / 'public.npz') as stored:
        return json.loads((GOLDENS / 'names.json').read_text())['public'], dict(stored)


def write_case(folder, case, spec, arrays):
    (folder / 'names.json').write_text(json.dumps({case: spec}))
    np.savez(folder / f'{case}.npz', **arrays)


def test_public_goldens_are_reproduced(run):
    code, out, err = run(GOLDENS, 'public')

    assert code == 0, out + err
    assert json.loads(out.splitlines()[-1]) == {'case': 'public', 'compared': 28, 'failed': 0}
    assert out.count(' ok') == 28


@pytest.mark.slow
def test_goldens_of_efficient_sam_are_reproduced(run):
    code, out, err = run(EFFICIENT_SAM, 'vitt')

    assert code == 0, out + err
    assert json.loads(out.splitlines()[-1]) == {'case': 'vitt', 'compared': 5, 'failed': 0}


def test_weights_and_inputs_of_efficient_sam_are_checked(tmp_path, run):
    spec = json.loads((EFFICIENT_SAM / 'names.json').read_text())['vitt']
    write_case(tmp_path, 'one', {**spec, 'parameters': 12_000_000}, {'iou': np.zeros((2, 3, 3))})
    code, _, err = run(tmp_path, 'one')
    assert code == 2
    assert 'names.json: one: parameters: expected 10223204' in err
    write_case(tmp_path, 'one', spec, {'iou': np.zeros((2, 3, 3))})
    code, out, _ = run(tmp_path, 'one')
    assert code == 1
    assert 'no input stored' in out
    assert json.loads(out.splitlines()[-1])['failed'] == 5
    shapes = {name: shape for name, shape in spec['shapes'].items() if 'iou_token' not in name}
    write_case(tmp_path, 'one', {**spec, 'shapes': shapes}, {})
    code, _, err = run(tmp_path, 'one')
    assert code == 2
    assert '1 missing (mask_decoder.iou_token.weight)' in err
    del spec['parameters']
    write_case(tmp_path, 'one', spec, {})
    assert (
        "expected the keys model, seed, parameters, shapes, got no 'parameters'"
        in run(tmp_path, 'one')[2]
    )


def test_a_disturbed_and_a_missing_golden_are_found(public, tmp_path, run):
    spec, arrays = public
    arrays['image_mask_2'][0, 3, 5, 5] += 0.01
    del arrays['video_queries']
    arrays['image_extra'] = np.zeros(3, np.float32)
    write_case(tmp_path, 'other', spec, arrays)
    code, out, _ = run(tmp_path, 'other')

    assert code == 1
    assert json.loads(out.splitlines()[-1])['failed'] == 3
    verdict = {line.split()[0]: line.split()[-1] for line in out.splitlines()[1:-1]}
    wrong = {name: word for name, word in verdict.items() if word != 'ok'}
    assert wrong == {'image_mask_2': 'OFF', 'video_queries': 'MISSING', 'image_extra': 'MISSING'}


def test_without_inputs_their_outputs_are_missing_and_the_rest_is_compared(public, tmp_path, run):
    spec, arrays = public
    del arrays['net_image'], arrays['prompt_labels']
    write_case(tmp_path, 'other', spec, arrays)
    code, out, err = run(tmp_path, 'other')

    assert code == 1, out + err
    missing = {line.split()[0] for line in out.splitlines() if line.endswith('MISSING')}
    expected = {name for name in arrays if name.startswith(('net_', 'prompt_'))} - {*INPUTS}
    assert missing == expected
    assert len(expected) == 11
    assert out.count('no input stored') == 11
    assert out.count(' ok') == 17
    assert json.loads(out.splitlines()[-1]) == {'case': 'other', 'compared': 17, 'failed': 11}


def test_goldens_of_other_sizes(public, tmp_path, run):
    """Outputs of the model itself, stored and compared: every size comes from names.json."""
    spec, arrays = public
    spec = {**spec, 'seed': 23, 'num_things': 4, 'num_stuff': 0, 'num_queries': 7, 'embed_dim': 40}
    resized = {
        name: [7 if 'kernels' in name else 40, *shape[1:]]
        for name, shape in spec['shapes'].items()
        if name.split('.', 1)[1] == 'kernels.weight'
        or 'cls_proj.4' in name
        or 'panoptic_cls' in name
    }
    spec['shapes'] = {**spec['shapes'], **resized}
    inputs = {name: arrays[name] for name in INPUTS}
    inputs['prompt_boxes'], inputs['prompt_labels'] = (
        inputs['prompt_boxes'][:, :3],
        inputs['prompt_labels'][:, :3],
    )
    write_case(tmp_path, 'other', spec, inputs)
    golden, _ = load_golden(tmp_path, 'other')
    outputs = {name: value.numpy() for name, value in golden.outputs()}
    write_case(tmp_path, 'other', spec, {**inputs, **outputs})
    code, out, err = run(tmp_path, 'other')

    assert outputs['image_cls_3'].shape == (2, 7, 5)
    assert outputs['prompt_mask_3'].shape == (2, 3, 24, 32)
    assert code == 0, out + err


def test_a_folder_without_goldens_is_named(tmp_path, run):
    code, _, err = run(tmp_path, 'public')

    assert code == 2
    assert err.startswith('error: --fixtures: expected a folder with names.json')


def test_unknown_cases_and_models_are_named(tmp_path, run):
    write_case(tmp_path, 'one', {'model': 'rapsam_r99'}, {})
    code, _, err = run(tmp_path, 'on')
    assert code == 2
    assert "unknown case 'on': expected one of one" in err
    code, _, err = run(tmp_path, 'one')
    assert code == 2
    assert "unknown model 'rapsam_r99': expected one of efficient_sam_vits" in err


def test_missing_arrays_are_named(tmp_path, run):
    write_case(tmp_path, 'one', {'model': 'rapsam_r18'}, {})
    (tmp_path / 'one.npz').unlink()
    code, _, err = run(tmp_path, 'one')

    assert code == 2
    assert 'one.npz' in err


@pytest.fixture
def refused(tmp_path, run):
    """Run the tool on a folder that cannot be used: its single line on standard error."""

    def run_refused(case='one'):
        code, out, err = run(tmp_path, case)
        assert code == 2
        assert not out
        assert err.startswith('error: ')
        assert err.count('\n') == 1
        return err

    return run_refused


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'{"one": ', 'names.json: expected JSON, got a broken file'),
        (b'\xff\xfe', 'names.json: expected JSON, got a broken file'),
        (b'[1]', 'names.json: expected {case: entry}, got a list'),
        (b'{"one": "rapsam"}', 'names.json: one: expected an object, got a string'),
    ],
)
def test_broken_names_are_named(tmp_path, refused, content, message):
    (tmp_path / 'names.json').write_bytes(content)

    assert message in refused()


@pytest.mark.parametrize(
    'key', ['model', 'seed', 'num_things', 'num_queries', 'embed_dim', 'shapes']
)
def test_a_missing_key_is_named(public, tmp_path, refused, key):
    spec, _ = public
    del spec[key]
    write_case(tmp_path, 'one', spec, {})

    assert 'names.json: one: expected the keys model, seed' in (message := refused())
    assert f"got no '{key}'" in message


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('model', ['r18'], 'unknown model'),
        ('seed', -1, 'seed: expected a whole number of at least 0, got -1'),
        ('num_stuff', '3', "num_stuff: expected a whole number of at least 0, got '3'"),
        ('num_queries', 2.5, 'num_queries: expected a whole number of at least 1, got 2.5'),
        ('shapes', [], 'shapes: expected an object, got a list'),
        ('shapes', {'a.weight': [3, -1]}, 'shapes: a.weight: expected a list of sizes'),
    ],
)
def test_a_wrong_value_is_named(public, tmp_path, refused, key, value, message):
    write_case(tmp_path, 'one', {**public[0], key: value}, {})

    assert f'names.json: one: {message}' in refused()


def test_shapes_that_are_not_the_models_are_named(public, tmp_path, refused):
    spec, _ = public
    write_case(tmp_path, 'one', {**spec, 'num_queries': 7}, {})
    assert (
        'names.json: one: shapes: head.object_queries.weight: expected [7, 256] in a model of '
        'these sizes, got [20, 256]' in refused()
    )
    shapes = dict(spec['shapes'])
    shapes['extra.weight'] = shapes.pop('backbone.conv1.weight')
    write_case(tmp_path, 'one', {**spec, 'shapes': shapes}, {})
    message = refused()
    assert "1 missing ['backbone.conv1.weight']" in message
    assert "1 unknown ['extra.weight']" in message


@pytest.mark.parametrize('damage', ['truncated', 'text', 'single', 'empty'])
def test_a_file_that_is_no_npz_is_named(public, tmp_path, refused, damage):
    spec, arrays = public
    write_case(tmp_path, 'one', spec, {name: arrays[name] for name in INPUTS})
    path = tmp_path / 'one.npz'
    if damage == 'single':
        with path.open('wb') as file:
            np.save(file, arrays['net_image'])
    else:
        whole = path.read_bytes()
        path.write_bytes({'truncated': whole[:1000], 'text': b'net_image', 'empty': b''}[damage])

    assert 'one.npz: expected an .npz file, got' in refused()


def test_a_damaged_array_is_named(public, tmp_path, refused):
    spec, arrays = public
    write_case(tmp_path, 'one', spec, {'net_image': arrays['net_image']})
    path = tmp_path / 'one.npz'
    content = bytearray(path.read_bytes())
    content[5000:5100] = bytes(100)
    path.write_bytes(content)

    assert 'one.npz: net_image: expected an array of numbers' in refused()


@pytest.mark.parametrize(
    ('name', 'array', 'message'),
    [
        ('net_image', np.zeros((3, 96, 128)), 'expected shape (B, 3, H, W), got (3, 96, 128)'),
        ('net_image', np.zeros((1, 3, 0, 8)), 'expected shape (B, 3, H, W), got (1, 3, 0, 8)'),
        ('prompt_boxes', np.zeros((2, 5, 2)), 'expected shape (2, N, 4), got (2, 5, 2)'),
        ('prompt_labels', np.zeros((2, 4), int), 'expected one per box of prompt_boxes, 5, got 4'),
        ('prompt_labels', np.full((2, 5), 2), 'expected 0 and 1, got [2]'),
        ('neck_out', np.array(['a']), 'expected an array of numbers, got <U1'),
        ('neck_out', np.array([None]), 'expected an array of numbers, got Object arrays'),
    ],
)
def test_a_wrong_array_is_named(public, tmp_path, refused, name, array, message):
    spec, arrays = public
    inputs = {key: arrays[key] for key in INPUTS}
    write_case(tmp_path, 'one', spec, {**inputs, name: array})

    assert f'one.npz: {name}: {message}' in refused()
