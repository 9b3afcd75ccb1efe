import json
import runpy
from pathlib import Path

import numpy as np
import pytest

from seg.evaluation.functional.panoptic_files import write_panoptic_png

TOOL = Path(__file__).parents[2] / 'tools' / 'eval_panoptic.py'


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool in this process: exit code, standard output, standard error."""

    def run_tool(*arguments):
        monkeypatch.setattr('sys.argv', [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(TOOL), run_name='__main__')
        return stop.value.code, *capsys.readouterr()

    return run_tool


@pytest.mark.data
def test_prints_the_official_scores_as_the_last_line(shared_dir, run):
    root = shared_dir / 'fixtures' / 'coco_panoptic'
    truth, prediction = root / 'annotations', root / 'prediction'
    code, out, err = run(
        *('--gt', truth / 'panoptic_val2017.json', '--gt-dir', truth / 'panoptic_val2017'),
        *('--pred', prediction / 'panoptic_val2017.json'),
        *('--pred-dir', prediction / 'panoptic_val2017', '--workers', 2, '--json'),
    )
    assert code == 0, err
    got = json.loads(out.splitlines()[-1])
    expected = json.loads((prediction / 'expected.json').read_text())
    assert got.keys() == expected.keys()
    assert got['per_class'].keys() == expected['per_class'].keys()
    for group in ('All', 'Things', 'Stuff'):
        assert got[group] == pytest.approx(expected[group], abs=1e-6)
    for category, scores in expected['per_class'].items():
        assert got['per_class'][category] == pytest.approx(scores, abs=1e-6)
    assert 'Things' in err


def test_a_mistake_is_one_line(tmp_path, run):
    for name in ('gt', 'pred'):
        (tmp_path / name).mkdir()
        (tmp_path / f'{name}.json').write_text('{"annotations": []}')
    code, out, err = run(
        *('--gt', tmp_path / 'gt.json', '--gt-dir', tmp_path / 'gt'),
        *('--pred', tmp_path / 'pred.json', '--pred-dir', tmp_path / 'away', '--json'),
    )
    assert code == 2 and out == ''
    assert err.startswith('error: ') and len(err.splitlines()) == 1
    assert 'away: expected a folder of panoptic PNG files' in err


def test_a_group_without_classes_has_no_score(tmp_path, run):
    for name in ('gt', 'pred'):
        write_panoptic_png(tmp_path / name / 'a.png', np.full((3, 4), 7))
        segments = [{'id': 7, 'category_id': 2}]
        annotation = {'image_id': 1, 'file_name': 'a.png', 'segments_info': segments}
        categories = [{'id': 2, 'isthing': 1}]
        content = {'annotations': [annotation], 'categories': categories}
        (tmp_path / f'{name}.json').write_text(json.dumps(content))
    code, out, _ = run(
        *('--gt', tmp_path / 'gt.json', '--gt-dir', tmp_path / 'gt'),
        *('--pred', tmp_path / 'pred.json', '--pred-dir', tmp_path / 'pred', '--json'),
    )
    perfect = {'pq': 1, 'sq': 1, 'rq': 1}
    assert code == 0 and json.loads(out.splitlines()[-1]) == {
        'All': {**perfect, 'n': 1},
        'Things': {**perfect, 'n': 1},
        'Stuff': {'pq': None, 'sq': None, 'rq': None, 'n': 0},
        'per_class': {'2': perfect},
    }


def test_ground_truth_without_annotations_has_no_score(tmp_path, run):
    for name in ('gt', 'pred'):
        (tmp_path / name).mkdir()
        (tmp_path / f'{name}.json').write_text('{"annotations": [], "categories": []}')
    code, out, err = run(
        *('--gt', tmp_path / 'gt.json', '--gt-dir', tmp_path / 'gt'),
        *('--pred', tmp_path / 'pred.json', '--pred-dir', tmp_path / 'pred', '--json'),
    )
    assert (code, out) == (2, '')
    assert "gt.json: expected at least one entry in 'annotations'" in err
