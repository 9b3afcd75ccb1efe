import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seg.datasets.converters.davis import palette_image

TOOL = Path(__file__).parents[2] / 'tools' / 'eval_davis.py'
KEYS = {
    'J&F-Mean',
    'per_object',
    *(f'{measure}-{name}' for measure in 'JF' for name in ('Mean', 'Recall', 'Decay')),
}


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the tool in this process: exit code, standard output, standard error."""

    def run_tool(*arguments):
        monkeypatch.setattr('sys.argv', [str(TOOL), *map(str, arguments)])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(TOOL), run_name='__main__')
        return stop.value.code, *capsys.readouterr()

    return run_tool


def ids(frame, *, later=False):
    """Object 1 moves; an object 2 may appear in frame 2."""
    id_map = np.zeros((30, 40), dtype=np.uint8)
    id_map[5:15, 5 + frame : 20 + frame] = 1
    if later and frame >= 2:
        id_map[20:28, 5:15] = 2
    return id_map


@pytest.fixture
def davis(tmp_path):
    """Two sequences of five frames, and perfect results for them."""
    lists = tmp_path / 'gt' / 'ImageSets' / '2017'
    lists.mkdir(parents=True)
    (lists / 'val.txt').write_text('cat\ndog\n')
    for name in ('cat', 'dog'):
        for folder in (
            tmp_path / 'gt/Annotations/480p',
            tmp_path / 'gt/Annotations_unsupervised/480p',
            tmp_path / 'pred',
        ):
            (folder / name).mkdir(parents=True)
            for frame in range(5):
                path = folder / name / f'{frame:05d}.png'
                palette_image(ids(frame, later=name == 'dog')).save(path)
    return tmp_path


def arguments(davis):
    return '--gt', davis / 'gt', '--pred', davis / 'pred', '--split', 'val', '--json'


@pytest.mark.data
def test_prints_the_official_scores_as_the_last_line(shared_dir, run):
    root = shared_dir / 'fixtures' / 'davis_eval'
    pred = root / 'results' / 'drift'
    code, out, err = run('--gt', root, '--pred', pred, '--split', 'val', '--workers', 2, '--json')
    assert code == 0, err
    got = json.loads(out.splitlines()[-1])
    expected = json.loads((root / 'expected.json').read_text())['drift']
    assert got.keys() == expected.keys() == KEYS
    assert got['J&F-Mean'] == pytest.approx(expected['J&F-Mean'], abs=1e-6)
    assert 'judo_2' in err


@pytest.mark.parametrize('protocol', ['semi-supervised', 'unsupervised'])
def test_perfect_results_score_one(davis, run, protocol):
    code, out, err = run(*arguments(davis), '--protocol', protocol)
    assert code == 0, err
    scores = json.loads(out.splitlines()[-1])
    # The object that appears later is none of the first annotation.
    assert scores['per_object'] == {'cat_1': [1, 1], 'dog_1': [1, 1]}


def test_the_ends_of_a_sequence_count_when_asked_for(davis, run):
    for path in ('pred/cat/00000.png', 'pred/cat/00004.png'):
        (davis / path).unlink()
    code, _, err = run(*arguments(davis))
    assert code == 0, err
    code, _, err = run(*arguments(davis), '--all-frames')
    assert code == 2
    assert 'pred/cat: expected a PNG file for each of the 5 frames that are scored' in err
    assert '00000.png, 00004.png (2 in all)' in err


def test_missing_results_are_named(davis, run):
    (davis / 'pred/dog').rename(davis / 'pred/hound')
    code, out, err = run(*arguments(davis))
    assert (code, out) == (2, '')
    assert 'got none for dog (1 in all)' in err
    assert len(err.splitlines()) == 1


def write(davis, id_map):
    palette_image(id_map).save(davis / 'pred/dog/00002.png')


@pytest.mark.parametrize(
    ('damage', 'message'),
    [
        (
            lambda davis: write(davis, ids(2)[:20]),
            r'dog/00002.png: expected height x width 30 x 40 as in',
        ),
        (
            lambda davis: write(davis, ids(2) * 9),
            'dog/00002.png: expected ids of objects from 0 to 1, got [9]',
        ),
        (
            lambda davis: Image.new('RGB', (40, 30)).save(davis / 'pred/dog/00002.png'),
            'dog/00002.png: expected a map of ids',
        ),
        (
            lambda davis: palette_image(ids(0) * 0).save(
                davis / 'gt/Annotations/480p/dog/00000.png'
            ),
            'dog/00000.png: expected at least one object in the first annotation',
        ),
        (
            lambda davis: (davis / 'gt/ImageSets/2017/val.txt').unlink(),
            'val.txt: expected a list of names',
        ),
    ],
)
def test_damage_is_one_line_that_names_the_file(davis, run, damage, message):
    damage(davis)
    code, out, err = run(*arguments(davis))
    assert (code, out) == (2, '')
    assert err.strip().startswith('error: ')
    assert message in err


@pytest.mark.parametrize(
    ('flags', 'message'),
    [
        (('--protocol', 'unsupervized'), "mean 'unsupervised'"),
        (('--workers', '0'), '--workers: expected 1 or more'),
        (('--resolution', '1080p'), 'Annotations/1080p: expected a folder of annotations'),
    ],
)
def test_flags_are_checked(davis, run, flags, message):
    code, _, err = run(*arguments(davis), *flags)
    assert code == 2
    assert message in err
