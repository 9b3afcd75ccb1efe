import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seg.apis
from seg.apis import model_entry
from seg.datasets.imaging import read_image
from seg.datasets.shapes import SHAPES_STUFF, SHAPES_THINGS
from seg.testing.fake_segmentor import ALL_PROMPT_KINDS, FakeSegmentor
from seg.utils.cli import run_main

SCRIPT = Path(__file__).parents[2] / 'demo' / 'demo.py'


@pytest.fixture
def demo(monkeypatch, tmp_path, capsys):
    """Call the demo with arguments: exit code, standard output, standard error."""
    spec = importlib.util.spec_from_file_location('demo_script', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    def load(name, checkpoint, device):
        entry = None
        if checkpoint is None:  # a segmentor of images
            entry = replace(model_entry(name), config='rap_sam/rap_sam_nano_quick_shapes.py')
        kinds = ALL_PROMPT_KINDS if name == 'every_kind.py' else ('click',)
        classes = SHAPES_THINGS + SHAPES_STUFF
        return FakeSegmentor(entry=entry, classes=classes, prompt_kinds=kinds)

    monkeypatch.setattr(seg.apis, 'load_model', load)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['demo.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            run_main(module.main)
        return stopped.value.code, *capsys.readouterr()

    return call


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / 'photo.jpg'
    pixels = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob('*') if p.is_file())


def test_without_arguments_all_tasks_run_on_shapes(demo, tmp_path):
    code, out, err = demo('--num', 2)
    assert (code, err) == (0, '')
    assert files(tmp_path / 'outputs/demo') == [
        'interactive_image.png',
        'interactive_image/shapes_000.png',
        'interactive_image/shapes_001.png',
        'panoptic.png',
        'panoptic/shapes_000.png',
        'panoptic/shapes_001.png',
    ]
    assert 'wrote outputs/demo/panoptic.png' in out
    assert 'NOTE' not in out


def test_a_photograph_comes_with_a_notice(demo, photo, tmp_path):
    code, out, _ = demo('--input', photo, '--output', 'out')
    assert code == 0
    assert 'knows only Shapes' in out
    assert files(tmp_path / 'out') == ['panoptic/photo.png']


def test_a_model_of_ones_own_comes_without_notice(demo, photo):
    code, out, _ = demo('--input', photo, '--config', 'c.py', '--checkpoint', 'w.pth')
    assert code == 0
    assert 'NOTE' not in out


def test_points_choose_the_click_task_and_a_suffix_a_file(demo, photo, tmp_path):
    code, out, _ = demo('--input', photo, '--point', '120,80', '--output', 'click.png')
    assert code == 0
    assert '1 object' in out
    assert read_image(tmp_path / 'click.png').shape == (600, 800, 3)


def test_objects_group_clicks(demo, photo):
    _, out, _ = demo(
        '--input', photo, '--point', '120,80', '--object', 7, '--point', '20,30', '--show-scores'
    )
    assert '2 objects' in out


def test_every_kind_of_prompt_repeats_and_combines(demo, photo, tmp_path):
    mask = np.zeros((300, 400), np.uint8)
    mask[200:280, 20:120] = 255
    Image.fromarray(mask).save(tmp_path / 'mask.png')
    flags = ['--box', '10,10,100,100', '--mask', 'mask.png', '--text', 'the left half']
    flags += ['--object', 9, '--box', '150,150,250,250', '--point', '200,200,0']
    code, out, err = demo(
        *('--input', photo, '--config', 'every_kind.py', '--checkpoint', 'w.pth'), *flags
    )
    assert (code, err) == (0, '')
    assert '4 objects' in out
    drawn = read_image(tmp_path / 'outputs/demo/interactive_image/photo.png')
    assert drawn.shape == (600, 800, 3)


def test_masks_that_the_model_rates_low_are_left_out(demo, photo, tmp_path):
    for name, threshold in (('all.png', 0), ('none.png', 0.95)):
        demo('--input', photo, '--point', '120,80', '--min-iou', threshold, '--output', name)
    assert (read_image(tmp_path / 'all.png') != read_image(tmp_path / 'none.png')).any()


def test_a_folder_gives_one_picture_each_and_a_sheet(demo, photo, tmp_path):
    folder = tmp_path / 'in'
    folder.mkdir()
    for name in ('a.jpg', 'a.png', 'b.png'):
        Image.open(photo).save(folder / name)
    code, _, _ = demo('--input', folder, '--output', 'out')
    assert code == 0
    assert files(tmp_path / 'out') == [
        'panoptic.png',
        'panoptic/a_jpg.png',
        'panoptic/a_png.png',
        'panoptic/b.png',
    ]


def test_clicks_work_on_shapes_too(demo, tmp_path):
    code, _, _ = demo('--task', 'interactive_image', '--point', '80,64', '--num', 1)
    assert code == 0
    assert files(tmp_path / 'outputs/demo') == ['interactive_image/shapes_000.png']


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--input', 'nowhere.jpg'], 'input nowhere.jpg'),
        (['--task', 'panoptik'], "Did you mean 'panoptic'"),
        (['--input', 'photo.jpg', '--task', 'interactive_image'], 'add --point x,y'),
        (['--input', 'photo.jpg', '--point', '400,80'], 'inside the image of 400 x 300 pixels'),
        (['--input', 'photo.jpg', '--point', '-3,80'], 'point (-3, 80)'),
        (['--input', 'photo.jpg', '--point', '20,80,0'], 'negative clicks'),
        (['--input', 'photo.jpg', '--point', '1,1', '--point', '2,2'], 'several clicks'),
        (['--point', 'here'], "point 'here': expected x,y"),
        (['--point', 'nan,2'], "point 'nan,2'"),
        (['--object', '2', '--input', 'photo.jpg'], 'a --point, --box, --mask or --text after it'),
        (['--object', '0', '--point', '1,1'], 'object 0'),
        (['--output', 'out.txt', '--task', 'panoptic'], 'ending in .png'),
        (['--output', 'out.png'], 'expected a folder for 2 tasks'),
        (['--output', 'photo.jpg/out'], 'photo.jpg is no folder'),
        (['--output', 'photo.jpg/a.png', '--task', 'panoptic'], 'photo.jpg is no folder'),
        (['--checkpoint', 'weights.pth'], 'add --config'),
        (['--num', '0'], '--num >= 1'),
        (['--box', '10,10,5,20'], "box '10,10,5,20': expected x1,y1,x2,y2"),
        (['--box', '-5,nan,5,20'], "box '-5,nan,5,20'"),
        (['--box', '1,1,5,5', '--input', 'photo.jpg'], 'got boxes'),
        (['--mask', 'nowhere.png'], 'nowhere.png: expected an image file'),
        (['--text', ''], 'blank text'),
        (['--text', 'caf\udce9'], 'decode its bytes as UTF-8'),
        (['--object', '2', '--text', 'a', '--text', 'b'], 'at most one --text'),
        (['--min-iou', '1.5', '--point', '1,1'], '--min-iou'),
        (['--task', 'panoptic', '--point', '1,1'], 'expected none for the task panoptic'),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(demo, photo, tmp_path, arguments, message):
    code, _, err = demo(*arguments)
    assert code == 2
    assert message in err
    assert err.count('\n') == 1
    assert files(tmp_path) == ['photo.jpg']


@pytest.mark.parametrize('flag', ['--point', '--box', '--text'])
def test_a_forgotten_value_is_named(demo, photo, flag):
    code, _, err = demo('--input', photo, flag, '--output', 'out')
    assert code == 2
    assert f'argument {flag}: expected one argument' in err


@pytest.mark.parametrize('task', ['panoptic', 'everything'])
@pytest.mark.parametrize('content', [b'', b'no image', b'\x89PNG\r\n\x1a\n'])
def test_a_bad_file_in_a_folder_leaves_nothing(demo, photo, tmp_path, content, task):
    folder = tmp_path / 'in'
    folder.mkdir()
    photo.rename(folder / 'a.jpg')
    (folder / 'b.png').write_bytes(content)
    code, _, err = demo('--input', folder, '--task', task)
    assert code == 2
    assert 'b.png' in err
    assert not (tmp_path / 'outputs').exists()


def test_help_loads_nothing_heavy():
    program = (
        f"import runpy, sys; sys.argv = ['demo.py', '--help']\n"
        f"try: runpy.run_path({str(SCRIPT)!r}, run_name='__main__')\n"
        "except SystemExit: print(sorted({'torch', 'numpy', 'mmengine'} & set(sys.modules)))"
    )
    text = subprocess.run(
        [sys.executable, '-c', program], check=True, capture_output=True, text=True
    ).stdout
    assert '--point' in text
    assert text.endswith('[]\n')
