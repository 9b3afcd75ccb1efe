"""The demo with the embedded model on photographs, by every kind of prompt."""

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import seg.apis
from seg.apis import load_model
from seg.datasets.imaging import read_image
from seg.utils.cli import run_main
from seg.visualization.layers import object_colors

SCRIPT = Path(__file__).parents[2] / 'demo' / 'demo.py'


@pytest.fixture(scope='module')
def model():
    return load_model('rap_sam_nano_shapes', device='cpu')


@pytest.fixture
def demo(model, monkeypatch, tmp_path, capsys):
    spec = importlib.util.spec_from_file_location('demo_script', SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(seg.apis, 'load_model', lambda *args: model)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        monkeypatch.setattr(sys, 'argv', ['demo.py', *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            run_main(module.main)
        return stopped.value.code, capsys.readouterr().out

    return call


@pytest.mark.parametrize('name', ['truck', 'dog', 'groceries'])
def test_every_kind_of_prompt_is_answered_and_drawn(demo, shared_dir, tmp_path, name):
    photo = shared_dir / 'media' / f'{name}.jpg'
    height, width = read_image(photo).shape[:2]
    x, y = width // 5, height // 5
    mask = np.zeros((height, width), np.uint8)
    mask[y : 2 * y, 2 * x : 3 * x] = 255
    Image.fromarray(mask).save('mask.png')
    prompts = ['--point', f'{x},{y}', '--point', f'{x},{3 * y},0', '--mask', 'mask.png']
    prompts += ['--box', f'{2 * x},{3 * y},{4 * x},{4 * y}', '--text', 'the red shape']

    code, out = demo('--input', photo, *prompts, '--output', 'out.png')
    drawn = read_image(tmp_path / 'out.png').astype(int)
    scale = drawn.shape[0] // height
    reach, colors = max(8, height // 40), object_colors([1, 2, 3, 4])

    assert code == 0
    assert f'{name}: 4 objects, predicted IoU' in out
    for column, row, color in (
        (x, y, (34, 197, 94)),  # green, with a plus
        (x, 3 * y, (239, 68, 68)),  # red, with a minus
        (2 * x, 3 * y // 2, colors[2]),  # the outline of the mask prompt
        (2 * x, 7 * y // 2, colors[3]),  # the box
        (3 * x, 4 * y, colors[3]),
    ):
        top, left = (row - reach) * scale, (column - reach) * scale
        part = drawn[top : top + 2 * reach * scale, left : left + 2 * reach * scale]
        assert (abs(part - color).max(axis=2) < 20).any(), (column, row)
