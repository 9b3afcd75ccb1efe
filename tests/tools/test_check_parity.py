"""The parity tool on the public goldens, and on goldens of other sizes."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from seg.testing.golden_files import load_golden

TOOL = Path(__file__).parents[2] / 'tools' / 'analysis_tools' / 'check_parity.py'
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
def public(shared_dir):
    """Case "public": the entry of names.json and the arrays."""
    folder = shared_dir / 'fixtures' / 'rapsam'
    with np.load(folder / 'public.npz') as stored:
        return json.loads((folder / 'names.json').read_text())['public'], dict(stored)


def write_case(folder, case, spec, arrays):
    (folder / 'names.json').write_text(json.dumps({case: spec}))
    np.savez(folder / f'{case}.npz', **arrays)


@pytest.mark.data
def test_public_goldens_are_reproduced(shared_dir, run):
    code, out, err = run(shared_dir / 'fixtures' / 'rapsam', 'public')

    assert code == 0, out + err
    assert json.loads(out.splitlines()[-1]) == {'case': 'public', 'compared': 28, 'failed': 0}
    assert out.count(' ok') == 28


@pytest.mark.data
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


@pytest.mark.data
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
    assert "unknown model 'rapsam_r99': expected one of rapsam_r18, rapsam_r50" in err


def test_missing_arrays_are_named(tmp_path, run):
    write_case(tmp_path, 'one', {'model': 'rapsam_r18'}, {})
    (tmp_path / 'one.npz').unlink()
    code, _, err = run(tmp_path, 'one')

    assert code == 2
    assert 'one.npz' in err
