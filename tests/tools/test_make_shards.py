import importlib.util
import json
import subprocess
import sys

import numpy as np
from PIL import Image

from seg.datasets import ShardDataset


def run(repository, tool, *arguments):
    command = [sys.executable, str(repository / f'tools/dataset_converters/{tool}.py'), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def write_folder(folder, num=3):
    folder.mkdir()
    for index in range(num):
        Image.fromarray(np.zeros((8, 9, 3), np.uint8)).save(folder / f'sa_{index}.jpg')
        image = {'image_id': index, 'height': 8, 'width': 9}
        text = json.dumps({'image': image, 'annotations': []})
        (folder / f'sa_{index}.json').write_text(text)


def call_main(repository, monkeypatch, tool, *arguments):
    path = repository / f'tools/dataset_converters/{tool}.py'
    spec = importlib.util.spec_from_file_location(tool, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(sys, 'argv', [tool, *map(str, arguments)])
    module.main()


def test_folder_to_shards_and_index(repository, tmp_path, monkeypatch, capsys):
    write_folder(tmp_path / 'in')
    out = tmp_path / 'out'
    call_main(repository, monkeypatch, 'make_shards', tmp_path / 'in', '--out', out)
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert made['samples'] == 3
    assert made['shards'] == 1
    (out / 'shards.index').unlink()
    call_main(repository, monkeypatch, 'index_shards', out)
    assert json.loads(capsys.readouterr().out.splitlines()[-1])['samples'] == 3
    assert (out / 'shards.index').is_file()
    assert len(ShardDataset(out, 'interactive_image', [])) == 3


def test_mistakes_are_one_line(repository, tmp_path):
    done = run(repository, 'make_shards', str(tmp_path / 'no'), '--out', str(tmp_path / 'out'))
    assert done.returncode == 2
    assert done.stderr.startswith('error: ')
    assert done.stderr.count('\n') == 1
    assert not (tmp_path / 'out').exists()
